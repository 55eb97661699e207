using IommuFd.GrainInterfaces;
using IommuFd.Grains.Calls;
using IommuFd.Grains.Iommus;
using IommuFd.Grains.IoPagetable;
using IommuFd.Grains.Model;
using IommuFd.Grains.Objects.Accesses;
using IommuFd.Grains.Objects.Ioas;
using IommuFd.Grains.Objects.Viommus;
using IommuFd.Uapi;

namespace IommuFd.Grains.Objects.HwQueues;

/// <summary>IOMMU_HW_QUEUE_ALLOC.</summary>
internal static class HwQueueHandlers
{
    // Linux lists the pages of a queue by their addresses, in one array of at most 2^31 - 1 bytes.
    private const ulong MaxPages = int.MaxValue / sizeof(ulong);

    /// <summary>IOMMU_HW_QUEUE_ALLOC: the queue's memory is pinned, and can't be unmapped while the queue lives.</summary>
    public static async ValueTask<IoctlReply> Alloc(IoctlScope scope, IoctlCommand call)
    {
        var cmd = call.Read<IommuHwQueueAlloc>();
        if (cmd.Flags != 0)
        {
            return Failure.Unsupported(DiagnosticReason.UnsupportedFlags, cmd.Flags);
        }

        if (cmd.Type == (uint)IommuHwQueueType.Default)
        {
            return Failure.Unsupported(DiagnosticReason.UnsupportedKind, cmd.Type);
        }

        if (cmd.Length == 0)
        {
            return Failure.Reply(Errno.EINVAL, DiagnosticReason.EmptyRange);
        }

        if (!IovaRange.TryOfLength(cmd.NestingParentIova, cmd.Length, out var memory))
        {
            return Failure.Reply(Errno.EOVERFLOW, DiagnosticReason.RangeOverflow, cmd.NestingParentIova, cmd.Length);
        }

        var objects = scope.Context.Objects;
        if (objects.Find<ViommuEntry>(cmd.ViommuId) is not { } viommu)
        {
            return Failure.ObjectNotFound(objects, cmd.ViommuId);
        }

        var type = (IommuHwQueueType)cmd.Type;
        if (IommuDriver.FindInstance(viommu.Iommu)!.Viommu.HwQueues(type) == 0)
        {
            return Failure.Unsupported(DiagnosticReason.UnsupportedKind, cmd.Type);
        }

        if (!call.CanRespond<IommuHwQueueAlloc>())
        {
            return call.Respond(in cmd);
        }

        if (objects.Reserve((id, serial) => new HwQueueEntry(id, serial, viommu, type, cmd.Index, memory)) is not { } queue)
        {
            return objects.NoRoom().ToReply();
        }

        var built = await BuildAsync(scope, queue);
        if (!built.Succeeded)
        {
            if (queue.Access is { } access)
            {
                await AccessHandlers.DestroyAsync(scope, access);
            }

            objects.AbortAndDestroy(queue);
            return built.ToReply();
        }

        objects.Finalize(queue);
        cmd.OutHwQueueId = queue.Id.Value;
        return call.Respond(in cmd);
    }

    // The memory is pinned before the hardware is asked, as in Linux, so that what is wrong with it comes first.
    private static async ValueTask<OperationResult> BuildAsync(IoctlScope scope, HwQueueEntry queue)
    {
        var pinned = await PinAsync(scope, queue);
        if (!pinned.Succeeded)
        {
            return pinned;
        }

        var viommu = queue.Viommu;
        var added = await scope.Grains.CallAsync<IViommuGrain, (ObjectId Queue, IommuHwQueueType Type, uint Index), HwQueueReply>(
            viommu, (queue.Id, queue.QueueType, queue.Index), static (grain, stamp, argument) => grain.AddHwQueueAsync(stamp, argument.Queue, argument.Type, argument.Index));
        if (added.Errno != Errno.None || added.Refusal != Errno.None)
        {
            return added.Errno != Errno.None ? OperationResult.Of(added, viommu) : new OperationResult(added.Refusal, default, added.Diagnostic);
        }

        Hold.RefToUsers(queue, viommu, "a hardware queue of it");
        if (scope.Context.Objects.Find<HwQueueEntry>(added.Previous.Value) is { } previous)
        {
            Hold.RefToUsers(queue, previous, "coming after it");
        }

        return default;
    }

    // iommufd_hw_queue_alloc_phys. An access without a driver beside the queue pins the memory; it has an id like any other.
    private static async ValueTask<OperationResult> PinAsync(IoctlScope scope, HwQueueEntry queue)
    {
        var start = PageSizes.RoundDown(queue.Memory.Start);
        var offset = queue.Memory.Start - start;
        var bytes = (UInt128)offset + queue.Memory.LengthBytes + (PageSizes.Page - 1);
        if (bytes > ulong.MaxValue)
        {
            return new OperationResult(Errno.ERANGE, default, Failure.Because(DiagnosticReason.MemoryOverflow, queue.Memory.Start, queue.Memory.LengthBytes));
        }

        var pages = (ulong)bytes / PageSizes.Page;
        if (pages > MaxPages)
        {
            return new OperationResult(Errno.ENOMEM, default, Failure.Because(DiagnosticReason.RequestTooLarge, queue.Memory.LengthBytes, MaxPages * PageSizes.Page));
        }

        queue.Access = AccessHandlers.Create(scope, queue, needsPinPages: true);
        if (queue.Access is null)
        {
            return scope.Context.Objects.NoRoom();
        }

        var attached = await AccessHandlers.AttachAsync(scope, queue.Access, queue.Viommu.Hwpt.Ioas.Id.Value);
        if (!attached.Succeeded)
        {
            return attached;
        }

        var pinned = await AccessHandlers.PinAsync(
            scope, queue.Access, new IoasAccessRequest(queue.Access.Id, start, pages * PageSizes.Page, IommuTestAccessFlags.None), default);
        return pinned.Errno != Errno.None
            ? new OperationResult(pinned.Errno, default, pinned.Diagnostic)
            : FirstGap(start, pinned.Slices) is { } gap ? new OperationResult(Errno.EFAULT, default, Failure.Because(DiagnosticReason.MemoryNotContiguous, gap)) : default;
    }

    // Hardware reads the queue by physical addresses. Here memory is contiguous where the caller's addresses are, or the offsets in its file.
    private static ulong? FirstGap(ulong iova, PagesSlice[] slices)
    {
        for (var i = 1; i < slices.Length; i++)
        {
            iova += slices[i - 1].Length;
            if (slices[i].Pages.File != slices[i - 1].Pages.File || slices[i].Address != slices[i - 1].Address + slices[i - 1].Length)
            {
                return iova;
            }
        }

        return null;
    }
}
