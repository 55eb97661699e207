using IommuFd.GrainInterfaces;
using IommuFd.Grains.Calls;
using IommuFd.Grains.Iommus;
using IommuFd.Grains.IoPagetable;
using IommuFd.Grains.Model;
using IommuFd.Grains.Objects.Devices;
using IommuFd.Grains.Objects.Hwpts;
using IommuFd.Grains.Objects.Viommus;
using IommuFd.Uapi;

namespace IommuFd.Grains.Objects.NestedHwpts;

/// <summary>How nested HWPTs are made, and IOMMU_HWPT_INVALIDATE.</summary>
internal static class NestedHwptHandlers
{
    /// <summary>How many entries one invalidation has at most here: more than one turn should not do.</summary>
    public const uint MaxEntries = 65_536;

    // Linux's own limits (IOMMU_HWPT_INVALIDATE_ENTRY_NUM_MAX, and a page).
    private const uint MaxLinuxEntries = 1 << 19;
    private const uint MaxEntryBytes = (uint)PageSizes.Page;

    private const IommuHwptAllocFlags KnownFlags = IommuHwptAllocFlags.FaultIdValid | IommuHwptAllocFlags.Pasid;

    /// <summary><c>iommufd_hwpt_nested_alloc</c>.</summary>
    public static ValueTask<OperationResult> AllocOnParentAsync(IoctlScope scope, HwptPagingEntry parent, DeviceEntry device, IommuHwptAlloc cmd, UserBuffer buffer)
    {
        var iommu = IommuDriver.Of(device.Device);
        var refusal = CheckArgument(cmd, parent);
        if (!refusal.Succeeded || !iommu.CanNest(device.Device))
        {
            return ValueTask.FromResult(refusal.Succeeded ? OperationResult.Fail(Errno.EOPNOTSUPP, DiagnosticReason.CannotNest, parent) : refusal);
        }

        refusal = DeviceHandlers.CheckNestParent(parent, device);
        return refusal.Succeeded ? AllocAsync(scope, parent, null, iommu, cmd, buffer) : ValueTask.FromResult(refusal);
    }

    /// <summary><c>iommufd_viommu_alloc_hwpt_nested</c>.</summary>
    public static ValueTask<OperationResult> AllocOnViommuAsync(IoctlScope scope, ViommuEntry viommu, DeviceEntry device, IommuHwptAlloc cmd, UserBuffer buffer)
    {
        var iommu = IommuDriver.Of(device.Device);
        if (viommu.Iommu != iommu.InstanceOf(device.Device))
        {
            return ValueTask.FromResult(DeviceHandlers.OtherIommu(device, viommu));
        }

        var refusal = CheckArgument(cmd, viommu);
        return refusal.Succeeded ? AllocAsync(scope, viommu.Hwpt, viommu, iommu, cmd, buffer) : ValueTask.FromResult(refusal);
    }

    /// <summary>IOMMU_HWPT_INVALIDATE: entry_num tells how many entries were carried out, also on failure.</summary>
    public static async ValueTask<IoctlReply> Invalidate(IoctlScope scope, IoctlCommand call)
    {
        var cmd = call.Read<IommuHwptInvalidate>();
        if (!call.CanRespond<IommuHwptInvalidate>())
        {
            return call.Respond(in cmd);
        }

        var (result, done) = await InvalidateAsync(scope, cmd, call.Buffer(0));
        cmd.EntryNum = done;
        return call.Respond(in cmd, result.ToReply());
    }

    private static async ValueTask<(OperationResult Result, uint Done)> InvalidateAsync(IoctlScope scope, IommuHwptInvalidate cmd, UserBuffer buffer)
    {
        if (cmd.Reserved != 0)
        {
            return (new OperationResult(Errno.EOPNOTSUPP, default, Failure.Because(DiagnosticReason.ReservedNotZero, cmd.Reserved)), 0);
        }

        if (cmd.EntryNum > 0 && (cmd.DataUptr == 0 || cmd.EntryLen == 0))
        {
            return (new OperationResult(Errno.EINVAL, default, Failure.Because(DiagnosticReason.NoEntries, cmd.EntryNum)), 0);
        }

        if (cmd.EntryNum > MaxLinuxEntries || (cmd.EntryNum > 0 && cmd.EntryLen > MaxEntryBytes))
        {
            var tooMany = cmd.EntryLen > MaxEntryBytes
                ? Failure.Because(DiagnosticReason.RequestTooLarge, cmd.EntryLen, MaxEntryBytes)
                : Failure.Because(DiagnosticReason.TooManyEntries, cmd.EntryNum, MaxLinuxEntries);
            return (new OperationResult(Errno.EINVAL, default, tooMany), 0);
        }

        var objects = scope.Context.Objects;
        var entry = objects.Find(cmd.HwptId);
        if (entry is not (HwptNestedEntry or ViommuEntry))
        {
            return (entry is null ? OperationResult.NotFound(objects, cmd.HwptId) : OperationResult.Fail(Errno.EINVAL, DiagnosticReason.NotInvalidatable, entry), 0);
        }

        // More than travels, or more than one turn should do.
        if ((ulong)cmd.EntryNum * cmd.EntryLen is var bytes && (bytes > IoctlLimits.MaxBufferBytes || cmd.EntryNum > MaxEntries))
        {
            var tooMany = cmd.EntryNum > MaxEntries
                ? Failure.Because(DiagnosticReason.TooManyEntries, cmd.EntryNum, MaxEntries)
                : Failure.Because(DiagnosticReason.RequestTooLarge, bytes, IoctlLimits.MaxBufferBytes);
            return (new OperationResult(Errno.ENOMEM, default, tooMany), 0);
        }

        var entries = new InvalidationEntries((IommuHwptInvalidateDataType)cmd.DataType, cmd.EntryLen, cmd.EntryNum, buffer.Content);
        if (entry is ViommuEntry viommu)
        {
            return await ViommuHandlers.InvalidateAsync(scope, viommu, entries);
        }

        var answer = await scope.Grains.CallAsync<INestedHwptGrain, InvalidationEntries, ObjectReply>(
            entry, entries, static (grain, stamp, entries) => grain.InvalidateAsync(stamp, entries));
        return (OperationResult.Of(answer, entry), (uint)answer.Value);
    }

    private static OperationResult CheckArgument(IommuHwptAlloc cmd, ObjectEntry @base)
        => ((IommuHwptAllocFlags)cmd.Flags & ~KnownFlags) is not 0 and var unknown
            ? new OperationResult(Errno.EOPNOTSUPP, default, Failure.Because(DiagnosticReason.UnsupportedFlags, (uint)unknown))
            : cmd.DataLen == 0 ? OperationResult.Fail(Errno.EOPNOTSUPP, DiagnosticReason.NestingNeedsData, @base)
            : default;

    private static async ValueTask<OperationResult> AllocAsync(
        IoctlScope scope, HwptPagingEntry parent, ViommuEntry? viommu, IommuDriver iommu, IommuHwptAlloc cmd, UserBuffer buffer)
    {
        var objects = scope.Context.Objects;
        var errno = iommu.CheckNested(HwptAllocHandlers.DataOf(cmd, buffer)!, viommu is not null, out var config);
        if (errno != Errno.None)
        {
            return new OperationResult(errno, default, Failure.Data(errno, cmd.DataType, cmd.DataLen, (ulong)buffer.Content.Length));
        }

        var found = HwptAllocHandlers.FindFaultQueue(scope, cmd, out var queue);
        if (!found.Succeeded)
        {
            return found;
        }

        if (objects.Reserve((id, serial) => new HwptNestedEntry(id, serial, parent, viommu, parent.Iommu, (IommuHwptAllocFlags)cmd.Flags, config)) is not { } hwpt)
        {
            return objects.NoRoom();
        }

        var told = await scope.Grains.HoldAsync(hwpt.Base);
        if (told.Succeeded)
        {
            Hold.RefToUsers(hwpt, hwpt.Base, viommu is null ? "nesting on it" : "a page table of its guest");
            told = await HwptHandlers.ReportToAsync(scope, hwpt, queue);
            if (!told.Succeeded)
            {
                await scope.Grains.DropAsync(hwpt.Base);
            }
        }

        if (!told.Succeeded)
        {
            objects.AbortAndDestroy(hwpt);
            return told;
        }

        objects.Finalize(hwpt);
        return new OperationResult(Errno.None, hwpt.Id);
    }
}
