using IommuFd.GrainInterfaces;
using IommuFd.Grains.Calls;
using IommuFd.Grains.Iommus;
using IommuFd.Grains.Model;
using IommuFd.Grains.Objects.FaultQueues;
using IommuFd.Grains.Objects.Ioas;
using IommuFd.Uapi;

namespace IommuFd.Grains.Objects.Hwpts;

/// <summary>The commands on hardware page tables, and the steps by which they come and go.</summary>
internal static class HwptHandlers
{
    /// <summary>IOMMU_HWPT_SET_DIRTY_TRACKING.</summary>
    public static async ValueTask<IoctlReply> SetDirtyTracking(IoctlScope scope, IoctlCommand call)
    {
        var cmd = call.Read<IommuHwptSetDirtyTracking>();
        if ((cmd.Flags & ~(uint)IommuHwptSetDirtyTrackingFlags.Enable) is not 0 and var unknown)
        {
            return Failure.Unsupported(DiagnosticReason.UnsupportedFlags, unknown);
        }

        if (scope.Context.Objects.Find<HwptPagingEntry>(cmd.HwptId) is not { } hwpt)
        {
            return Failure.ObjectNotFound(scope.Context.Objects, cmd.HwptId);
        }

        var enable = cmd.Flags != 0;
        var answer = await scope.Grains.CallAsync<IIoasGrain, (ObjectId Hwpt, bool Enable), ObjectReply>(
            hwpt.Ioas, (hwpt.Id, enable), static (grain, stamp, argument) => grain.SetDirtyTrackingAsync(stamp, argument.Hwpt, argument.Enable));
        return answer.Errno == Errno.None ? IoctlReply.Success : Failure.Of(answer, hwpt.Ioas);
    }

    /// <summary>IOMMU_HWPT_GET_DIRTY_BITMAP. Bits are added to those that the bitmap has; where it can't be written, they are lost, as in Linux.</summary>
    public static async ValueTask<IoctlReply> GetDirtyBitmap(IoctlScope scope, IoctlCommand call)
    {
        var cmd = call.Read<IommuHwptGetDirtyBitmap>();
        if ((cmd.Flags & ~(uint)IommuHwptGetDirtyBitmapFlags.NoClear) is not 0 and var unknown)
        {
            return Failure.Unsupported(DiagnosticReason.UnsupportedFlags, unknown);
        }

        if (cmd.Reserved != 0)
        {
            return Failure.Unsupported(DiagnosticReason.ReservedNotZero, cmd.Reserved);
        }

        if (scope.Context.Objects.Find<HwptPagingEntry>(cmd.HwptId) is not { } hwpt)
        {
            return Failure.ObjectNotFound(scope.Context.Objects, cmd.HwptId);
        }

        var range = new DirtyRange(hwpt.Id, cmd.Iova, cmd.Length, cmd.PageSize);
        var clear = !((IommuHwptGetDirtyBitmapFlags)cmd.Flags).HasFlag(IommuHwptGetDirtyBitmapFlags.NoClear);
        var answer = await scope.Grains.CallAsync<IIoasGrain, (DirtyRange Range, bool Clear), DirtyBitmapReply>(
            hwpt.Ioas, (range, clear), static (grain, stamp, argument) => grain.ReadDirtyAsync(stamp, argument.Range, argument.Clear));
        return answer.Errno == Errno.None
            ? new IoctlReply { Buffers = Array.ConvertAll(answer.Pieces, piece => new UserBufferWrite(cmd.Data + piece.Offset, piece.Bits) { IsOr = true }) }
            : Failure.Of(answer, hwpt.Ioas);
    }

    /// <summary>The change that makes the domain of a HWPT. FAULT_ID_VALID does not concern the domain and is masked out.</summary>
    public static IoasChange Allocation(HwptPagingEntry hwpt, DeviceDescription device, HwptUserData? data)
        => new AllocateDomain(hwpt.Id, device, hwpt.Flags & ~IommuHwptAllocFlags.FaultIdValid, data);

    /// <summary>Lets a HWPT that is built hold its IOAS, and makes it visible.</summary>
    public static void Publish(IoctlScope scope, HwptPagingEntry hwpt)
    {
        Hold.RefToUsers(hwpt, hwpt.Ioas, "mirroring it");
        scope.Context.Objects.Finalize(hwpt);
    }

    /// <summary>What the IOAS told of a HWPT, with what the context knows.</summary>
    public static HwptState Complete(HwptPagingEntry hwpt, HwptState state)
        => state with { Ioas = hwpt.Ioas.Id, IsAuto = hwpt.IsAuto, Flags = hwpt.Flags, Iommu = hwpt.Iommu, FaultQueue = hwpt.FaultQueue?.Id ?? default };

    /// <summary>Lets a HWPT that is built hold its fault queue, which is told.</summary>
    public static async ValueTask<OperationResult> ReportToAsync(IoctlScope scope, HwptEntry hwpt, FaultQueueEntry? queue)
    {
        var told = queue is null ? default : await scope.Grains.HoldAsync(queue);
        if (told.Succeeded)
        {
            hwpt.ReportTo(queue);
        }

        return told;
    }

    /// <summary>Tells the fault queue of a HWPT that is free to go. No device is attached to it, so no page fault of it is left.</summary>
    public static async ValueTask StopReportingAsync(IoctlScope scope, HwptEntry hwpt)
    {
        if (hwpt.FaultQueue is { } queue)
        {
            await scope.Grains.DropAsync(queue);
        }
    }
}
