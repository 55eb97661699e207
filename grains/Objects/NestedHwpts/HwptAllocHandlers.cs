using IommuFd.GrainInterfaces;
using IommuFd.Grains.Calls;
using IommuFd.Grains.Iommus;
using IommuFd.Grains.Model;
using IommuFd.Grains.Objects.Devices;
using IommuFd.Grains.Objects.FaultQueues;
using IommuFd.Grains.Objects.Hwpts;
using IommuFd.Grains.Objects.Ioas;
using IommuFd.Grains.Objects.Viommus;
using IommuFd.Uapi;

namespace IommuFd.Grains.Objects.NestedHwpts;

/// <summary>IOMMU_HWPT_ALLOC: paging HWPTs on an IOAS, nested ones on a HWPT or a vIOMMU.</summary>
internal static class HwptAllocHandlers
{
    private const IommuHwptAllocFlags PagingFlags =
        IommuHwptAllocFlags.NestParent | IommuHwptAllocFlags.DirtyTracking | IommuHwptAllocFlags.FaultIdValid | IommuHwptAllocFlags.Pasid;

    /// <summary>IOMMU_HWPT_ALLOC.</summary>
    public static async ValueTask<IoctlReply> Alloc(IoctlScope scope, IoctlCommand call)
    {
        var cmd = call.Read<IommuHwptAlloc>();
        if (cmd.Reserved != 0)
        {
            return Failure.Unsupported(DiagnosticReason.ReservedNotZero, cmd.Reserved);
        }

        if ((cmd.DataType == (uint)IommuHwptDataType.None) != (cmd.DataLen == 0))
        {
            return Failure.Reply(Errno.EINVAL, DiagnosticReason.InvalidDataLength, cmd.DataType, cmd.DataLen);
        }

        var objects = scope.Context.Objects;
        if (objects.Find<DeviceEntry>(cmd.DevId) is not { } device)
        {
            return Failure.ObjectNotFound(objects, cmd.DevId);
        }

        var result = objects.Find(cmd.PtId) switch
        {
            IoasEntry or HwptPagingEntry or ViommuEntry when !call.CanRespond<IommuHwptAlloc>() => default,
            IoasEntry ioas => await AllocPagingAsync(scope, ioas, device, cmd, call.Buffer(0)),
            HwptPagingEntry parent => await NestedHwptHandlers.AllocOnParentAsync(scope, parent, device, cmd, call.Buffer(0)),
            ViommuEntry viommu => await NestedHwptHandlers.AllocOnViommuAsync(scope, viommu, device, cmd, call.Buffer(0)),
            null => new OperationResult(Errno.EINVAL, default, Failure.NotFound(objects, cmd.PtId)),
            var other => OperationResult.Fail(Errno.EINVAL, DiagnosticReason.CannotAllocateOn, other),
        };
        if (!result.Succeeded)
        {
            return result.ToReply();
        }

        cmd.OutHwptId = result.Id.Value;
        return call.Respond(in cmd);
    }

    /// <summary>The data of an allocation, as it came.</summary>
    public static HwptUserData? DataOf(IommuHwptAlloc cmd, UserBuffer buffer)
        => cmd.DataLen == 0 ? null : new HwptUserData((IommuHwptDataType)cmd.DataType, cmd.DataLen, buffer.Content);

    /// <summary>Finds the queue that page faults are to go to; ENOENT without such a queue. Success without one where none is asked for.</summary>
    public static OperationResult FindFaultQueue(IoctlScope scope, IommuHwptAlloc cmd, out FaultQueueEntry? queue)
    {
        queue = null;
        if (!((IommuHwptAllocFlags)cmd.Flags).HasFlag(IommuHwptAllocFlags.FaultIdValid))
        {
            return default;
        }

        queue = scope.Context.Objects.Find<FaultQueueEntry>(cmd.FaultId);
        return queue is null ? OperationResult.NotFound(scope.Context.Objects, cmd.FaultId) : default;
    }

    // iommufd_hwpt_paging_alloc.
    private static async ValueTask<OperationResult> AllocPagingAsync(IoctlScope scope, IoasEntry ioas, DeviceEntry device, IommuHwptAlloc cmd, UserBuffer buffer)
    {
        const IommuHwptAllocFlags Conflicting = IommuHwptAllocFlags.FaultIdValid | IommuHwptAllocFlags.NestParent;
        var flags = (IommuHwptAllocFlags)cmd.Flags;
        var refusal = (flags & ~PagingFlags) is not 0 and var unknown ? Failure.Because(DiagnosticReason.UnsupportedFlags, (uint)unknown)
            : flags.HasFlag(IommuHwptAllocFlags.DirtyTracking) && !IommuDriver.Of(device.Device).TracksDirty(device.Device)
                ? Failure.Because(DiagnosticReason.IommuLacksFeature, (uint)IommuHwptAllocFlags.DirtyTracking)
            : flags.HasFlag(Conflicting) ? Failure.Because(DiagnosticReason.ConflictingFlags, (uint)Conflicting)
            : null;
        if (refusal is not null)
        {
            return new OperationResult(Errno.EOPNOTSUPP, default, refusal);
        }

        var objects = scope.Context.Objects;
        var iommu = IommuDriver.Of(device.Device).InstanceOf(device.Device);
        if (objects.Reserve((id, serial) => new HwptPagingEntry(id, serial, ioas, iommu, flags, isAuto: false)) is not { } hwpt)
        {
            return objects.NoRoom();
        }

        // Linux looks the fault queue up when the page table is made, so that what is wrong with that comes first.
        var result = await IoasHandlers.ChangeAsync(scope, ioas, [HwptHandlers.Allocation(hwpt, device.Device, DataOf(cmd, buffer)), new AddDomain(hwpt.Id)]);
        if (!result.Succeeded)
        {
            objects.Abort(hwpt);
            return result;
        }

        result = FindFaultQueue(scope, cmd, out var queue);
        result = result.Succeeded ? await HwptHandlers.ReportToAsync(scope, hwpt, queue) : result;
        if (!result.Succeeded)
        {
            await IoasHandlers.ChangeAsync(scope, ioas, [new RemoveDomain(hwpt.Id)]);
            objects.Abort(hwpt);
            return result;
        }

        HwptHandlers.Publish(scope, hwpt);
        return new OperationResult(Errno.None, hwpt.Id);
    }
}
