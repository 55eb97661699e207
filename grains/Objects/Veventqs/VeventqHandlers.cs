using System.Runtime.InteropServices;
using IommuFd.GrainInterfaces;
using IommuFd.Grains.Calls;
using IommuFd.Grains.Model;
using IommuFd.Grains.Objects.EventQueues;
using IommuFd.Grains.Objects.Viommus;
using IommuFd.Uapi;

namespace IommuFd.Grains.Objects.Veventqs;

/// <summary>IOMMU_VEVENTQ_ALLOC, and the way of events to their queues.</summary>
internal static class VeventqHandlers
{
    private static readonly int DescriptorOffset = (int)Marshal.OffsetOf<IommuVeventqAlloc>(nameof(IommuVeventqAlloc.OutVeventqFd));

    /// <summary>IOMMU_VEVENTQ_ALLOC.</summary>
    public static async ValueTask<IoctlReply> Alloc(IoctlScope scope, IoctlCommand call)
    {
        var cmd = call.Read<IommuVeventqAlloc>();
        if (cmd.Flags != 0 || cmd.Reserved != 0)
        {
            return Failure.Unsupported(cmd.Flags != 0 ? DiagnosticReason.UnsupportedFlags : DiagnosticReason.ReservedNotZero, cmd.Flags | cmd.Reserved);
        }

        if (cmd.Type == (uint)IommuVeventqType.Default)
        {
            return Failure.Unsupported(DiagnosticReason.UnsupportedKind, cmd.Type);
        }

        if (cmd.VeventqDepth == 0)
        {
            return Failure.Reply(Errno.EINVAL, DiagnosticReason.EmptyRange);
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

    /// <summary>Reports an event of a vIOMMU; EOPNOTSUPP where it has no queue for events of the kind.</summary>
    public static async ValueTask<OperationResult> ReportAsync(IoctlScope scope, ViommuEntry viommu, IommuVeventqType type, byte[] data)
    {
        if (!viommu.Veventqs.TryGetValue(type, out var queue))
        {
            return OperationResult.Fail(Errno.EOPNOTSUPP, DiagnosticReason.NoVeventq, viommu);
        }

        return OperationResult.Of(
            await scope.Grains.CallAsync<IVeventqGrain, byte[], ObjectReply>(queue, data, static (grain, stamp, data) => grain.ReportAsync(stamp, data)), queue);
    }
}
