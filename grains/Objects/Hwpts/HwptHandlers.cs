using IommuFd.GrainInterfaces;
using IommuFd.Grains.Calls;
using IommuFd.Grains.Iommus;
using IommuFd.Grains.Model;
using IommuFd.Grains.Objects.Devices;
using IommuFd.Grains.Objects.Ioas;
using IommuFd.Uapi;

namespace IommuFd.Grains.Objects.Hwpts;

/// <summary>The commands on hardware page tables, and the steps by which they come and go.</summary>
internal static class HwptHandlers
{
    private const IommuHwptAllocFlags PagingFlags =
        IommuHwptAllocFlags.NestParent | IommuHwptAllocFlags.DirtyTracking | IommuHwptAllocFlags.FaultIdValid | IommuHwptAllocFlags.Pasid;

    private const IommuHwptAllocFlags NestedFlags = IommuHwptAllocFlags.FaultIdValid | IommuHwptAllocFlags.Pasid;

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
            IoasEntry ioas when call.CanRespond<IommuHwptAlloc>() => await AllocPagingAsync(scope, ioas, device, cmd, call.Buffer(0)),
            IoasEntry => default,
            HwptEntry parent => CheckNested(parent, device, cmd),
            null => new OperationResult(Errno.EINVAL, default, Failure.NotFound(objects, cmd.PtId)),
            var other => OperationResult.Fail(Errno.EINVAL, DiagnosticReason.NotAPageTable, other),
        };
        if (!result.Succeeded)
        {
            return result.ToReply();
        }

        cmd.OutHwptId = result.Id.Value;
        return call.Respond(in cmd);
    }

    /// <summary>IOMMU_HWPT_SET_DIRTY_TRACKING.</summary>
    public static async ValueTask<IoctlReply> SetDirtyTracking(IoctlScope scope, IoctlCommand call)
    {
        var cmd = call.Read<IommuHwptSetDirtyTracking>();
        if ((cmd.Flags & ~(uint)IommuHwptSetDirtyTrackingFlags.Enable) != 0)
        {
            return Failure.Unsupported(DiagnosticReason.UnsupportedFlags, cmd.Flags);
        }

        if (scope.Context.Objects.Find<HwptEntry>(cmd.HwptId) is not { } hwpt)
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
        if ((cmd.Flags & ~(uint)IommuHwptGetDirtyBitmapFlags.NoClear) != 0)
        {
            return Failure.Unsupported(DiagnosticReason.UnsupportedFlags, cmd.Flags);
        }

        if (cmd.Reserved != 0)
        {
            return Failure.Unsupported(DiagnosticReason.ReservedNotZero, cmd.Reserved);
        }

        if (scope.Context.Objects.Find<HwptEntry>(cmd.HwptId) is not { } hwpt)
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
    public static IoasChange Allocation(HwptEntry hwpt, DeviceDescription device, HwptUserData? data)
        => new AllocateDomain(hwpt.Id, device, hwpt.Flags & ~IommuHwptAllocFlags.FaultIdValid, data);

    /// <summary>Lets a HWPT that is built hold its IOAS, and makes it visible.</summary>
    public static void Publish(IoctlScope scope, HwptEntry hwpt)
    {
        Hold.RefToUsers(hwpt, hwpt.Ioas, "mirroring it");
        scope.Context.Objects.Finalize(hwpt);
    }

    /// <summary>What the IOAS told of a HWPT, with what the context knows.</summary>
    public static HwptState Complete(HwptEntry hwpt, HwptState state)
        => state with { Ioas = hwpt.Ioas.Id, IsAuto = hwpt.IsAuto, Flags = hwpt.Flags, Iommu = hwpt.Iommu };

    // iommufd_hwpt_paging_alloc.
    private static async ValueTask<OperationResult> AllocPagingAsync(IoctlScope scope, IoasEntry ioas, DeviceEntry device, IommuHwptAlloc cmd, UserBuffer buffer)
    {
        var flags = (IommuHwptAllocFlags)cmd.Flags;
        if ((flags & ~PagingFlags) != 0
            || (flags.HasFlag(IommuHwptAllocFlags.DirtyTracking) && !IommuDriver.Of(device.Device).TracksDirty(device.Device))
            || flags.HasFlag(IommuHwptAllocFlags.FaultIdValid | IommuHwptAllocFlags.NestParent))
        {
            return new OperationResult(Errno.EOPNOTSUPP, default, Failure.Because(DiagnosticReason.IommuLacksFeature, cmd.Flags));
        }

        var objects = scope.Context.Objects;
        if (objects.Reserve((id, serial) => new HwptEntry(id, serial, ioas, device.Device.Iommu, flags, isAuto: false)) is not { } hwpt)
        {
            return objects.NoRoom();
        }

        var data = cmd.DataLen == 0 ? null : new HwptUserData((IommuHwptDataType)cmd.DataType, cmd.DataLen, buffer.Content);
        var result = await IoasHandlers.ChangeAsync(scope, ioas, [Allocation(hwpt, device.Device, data), new AddDomain(hwpt.Id)]);
        if (result.Succeeded && flags.HasFlag(IommuHwptAllocFlags.FaultIdValid))
        {
            // Linux looks the fault queue up when the page table is made. There are no fault queues yet, so that no id is one.
            await IoasHandlers.ChangeAsync(scope, ioas, [new RemoveDomain(hwpt.Id)]);
            result = OperationResult.NotFound(objects, cmd.FaultId);
        }

        if (!result.Succeeded)
        {
            objects.Abort(hwpt);
            return result;
        }

        Publish(scope, hwpt);
        return new OperationResult(Errno.None, hwpt.Id);
    }

    // iommufd_hwpt_nested_alloc, as far as it refuses: nested page tables come with vIOMMUs.
    private static OperationResult CheckNested(HwptEntry parent, DeviceEntry device, IommuHwptAlloc cmd)
    {
        var iommu = IommuDriver.Of(device.Device);
        if (((IommuHwptAllocFlags)cmd.Flags & ~NestedFlags) != 0 || cmd.DataLen == 0 || !iommu.CanNest)
        {
            return new OperationResult(Errno.EOPNOTSUPP, default, Failure.Because(DiagnosticReason.IommuLacksFeature, cmd.Flags));
        }

        return parent.IsAuto || !parent.Flags.HasFlag(IommuHwptAllocFlags.NestParent) || parent.Iommu != iommu.Name
            ? OperationResult.Fail(Errno.EINVAL, DiagnosticReason.NotNestParent, parent)
            : OperationResult.Fail(Errno.EOPNOTSUPP, DiagnosticReason.NotImplemented);
    }
}
