using System.Runtime.InteropServices;
using IommuFd.GrainInterfaces;
using IommuFd.Grains.Calls;
using IommuFd.Grains.Iommus;
using IommuFd.Grains.Model;
using IommuFd.Grains.Objects.Devices;
using IommuFd.Grains.Objects.EventQueues;
using IommuFd.Grains.Objects.Viommus;
using IommuFd.Uapi;

namespace IommuFd.Grains.Objects.Veventqs;

/// <summary>IOMMU_VEVENTQ_ALLOC, and the way of events to their queues.</summary>
internal static class VeventqHandlers
{
    // Linux's VEVENTQ_MAX_DEPTH.
    private const uint MaxDepth = 1 << 19;

    private static readonly int DescriptorOffset = (int)Marshal.OffsetOf<IommuVeventqAlloc>(nameof(IommuVeventqAlloc.OutVeventqFd));

    /// <summary>IOMMU_VEVENTQ_ALLOC.</summary>
    public static async ValueTask<IoctlReply> Alloc(IoctlScope scope, IoctlCommand call)
    {
        var cmd = call.Read<IommuVeventqAlloc>();
        if (cmd.Flags != 0 || cmd.Reserved != 0)
        {
            return cmd.Flags != 0
                ? Failure.Unsupported(DiagnosticReason.UnsupportedFlags, cmd.Flags)
                : Failure.Unsupported(DiagnosticReason.ReservedNotZero, cmd.Reserved);
        }

        if (cmd.Type == (uint)IommuVeventqType.Default)
        {
            return Failure.Unsupported(DiagnosticReason.UnsupportedKind, cmd.Type);
        }

        if (cmd.VeventqDepth is 0 or > MaxDepth)
        {
            return Failure.Reply(Errno.EINVAL, DiagnosticReason.QueueWithoutDepth, cmd.VeventqDepth, MaxDepth);
        }

        var objects = scope.Context.Objects;
        if (objects.Find<ViommuEntry>(cmd.ViommuId) is not { } viommu)
        {
            return Failure.ObjectNotFound(objects, cmd.ViommuId);
        }

        var type = (IommuVeventqType)cmd.Type;
        if (viommu.Veventqs.TryGetValue(type, out var other))
        {
            return new IoctlReply { Errno = Errno.EEXIST, Diagnostic = Failure.Because(DiagnosticReason.VeventqTypeTaken, cmd.Type, about: other.Ref) };
        }

        if (!call.CanRespond<IommuVeventqAlloc>())
        {
            return call.Respond(in cmd);
        }

        if (objects.Reserve((id, serial) => new VeventqEntry(id, serial, viommu, type, cmd.VeventqDepth)) is not { } queue)
        {
            return objects.NoRoom().ToReply();
        }

        var told = await scope.Grains.HoldAsync(viommu);
        if (!told.Succeeded)
        {
            objects.Abort(queue);
            return told.ToReply();
        }

        Hold.RefToUsers(queue, viommu, "an event queue of it");
        cmd.OutVeventqId = queue.Id.Value;
        var reply = EventQueueFiles.Open(scope, call, queue, in cmd, DescriptorOffset);
        if (reply.Errno == Errno.None)
        {
            viommu.Veventqs.Add(type, queue);
        }
        else
        {
            await scope.Grains.DropAsync(viommu);
        }

        return reply;
    }

    /// <summary>
    /// Reports an event of a device to its vIOMMU (<c>iommufd_viommu_report_event</c>), with the id that the device learned when it was
    /// attached, also where its vDevice is gone. ENOENT without a vIOMMU, EOPNOTSUPP where that has no queue for events of the kind.
    /// </summary>
    public static async ValueTask<OperationResult> ReportAsync(IoctlScope scope, DeviceEntry device, byte[]? data)
    {
        if (device.Attachment is not { VirtId: > 0 } attachment || scope.Context.Objects.Find<ViommuEntry>(attachment.Viommu.Value) is not { } viommu)
        {
            return OperationResult.Fail(Errno.ENOENT, DiagnosticReason.NoViommu, device);
        }

        if (IommuDriver.Of(device.Device).EventOf(attachment.VirtId, data, out var type) is not { } record)
        {
            return new OperationResult(Errno.EINVAL, default, Failure.Because(DiagnosticReason.InvalidEvent, (ulong)(data?.Length ?? 0), about: device.Ref));
        }

        return viommu.Veventqs.TryGetValue(type, out var queue)
            ? OperationResult.Of(
                await scope.Grains.CallAsync<IVeventqGrain, byte[], ObjectReply>(queue, record, static (grain, stamp, record) => grain.ReportAsync(stamp, record)), queue)
            : OperationResult.Fail(Errno.EOPNOTSUPP, DiagnosticReason.NoVeventq, viommu);
    }
}
