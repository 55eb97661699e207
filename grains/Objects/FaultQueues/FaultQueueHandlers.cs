using System.Runtime.InteropServices;
using IommuFd.GrainInterfaces;
using IommuFd.Grains.Calls;
using IommuFd.Grains.Model;
using IommuFd.Grains.Objects.EventQueues;
using IommuFd.Uapi;

namespace IommuFd.Grains.Objects.FaultQueues;

/// <summary>IOMMU_FAULT_QUEUE_ALLOC, and how page faults come and go.</summary>
internal static class FaultQueueHandlers
{
    private static readonly int DescriptorOffset = (int)Marshal.OffsetOf<IommuFaultAlloc>(nameof(IommuFaultAlloc.OutFaultFd));

    /// <summary>IOMMU_FAULT_QUEUE_ALLOC.</summary>
    public static ValueTask<IoctlReply> Alloc(IoctlScope scope, IoctlCommand call)
    {
        var cmd = call.Read<IommuFaultAlloc>();
        if (cmd.Flags != 0)
        {
            return ValueTask.FromResult(Failure.Unsupported(DiagnosticReason.UnsupportedFlags, cmd.Flags));
        }

        if (scope.Context.Objects.Reserve(static (id, serial) => new FaultQueueEntry(id, serial)) is not { } queue)
        {
            return ValueTask.FromResult(scope.Context.Objects.NoRoom().ToReply());
        }

        cmd.OutFaultId = queue.Id.Value;
        return ValueTask.FromResult(EventQueueFiles.Open(scope, call, queue, in cmd, DescriptorOffset));
    }

    /// <summary>Adds a group of page faults; ENOMEM where the queue has as many as it can.</summary>
    public static async ValueTask<OperationResult> ReportAsync(IoctlScope scope, FaultQueueEntry queue, FaultGroup group)
        => OperationResult.Of(
            await scope.Grains.CallAsync<IFaultQueueGrain, FaultGroup, ObjectReply>(queue, group, static (grain, stamp, group) => grain.ReportAsync(stamp, group)), queue);

    /// <summary>Takes the response to a group that a device waits for: EAGAIN where there is none yet, ENOENT where none will come.</summary>
    public static ObjectCall<ObjectReply> TakeResponseAsync(IoctlScope scope, FaultQueueEntry queue, ObjectId device, uint group)
        => scope.Grains.CallAsync<IFaultQueueGrain, (ObjectId Device, uint Group), ObjectReply>(
            queue, (device, group), static (grain, stamp, argument) => grain.TakeResponseAsync(stamp, argument.Device, argument.Group));

    /// <summary>Answers the page faults of an attachment that ends as invalid.</summary>
    public static async ValueTask DiscardAsync(IoctlScope scope, FaultQueueEntry queue, ObjectId device, uint pasid)
        => await scope.Grains.CallAsync<IFaultQueueGrain, (ObjectId Device, uint Pasid), ObjectReply>(
            queue, (device, pasid), static (grain, stamp, argument) => grain.DiscardAsync(stamp, argument.Device, argument.Pasid));
}
