using System.Runtime.InteropServices;
using IommuFd.GrainInterfaces;
using IommuFd.Grains.Calls;
using IommuFd.Grains.Iommus;
using IommuFd.Grains.Model;
using IommuFd.Grains.Objects.FaultQueues;
using IommuFd.Grains.Objects.Hwpts;
using IommuFd.Uapi;

namespace IommuFd.Grains.Objects.Devices;

/// <summary>The page faults of devices, on their way to the queue of the page table that they are attached to.</summary>
internal static class DeviceFaultHandlers
{
    /// <summary>Reports a group of page faults that a driver has sent: anything that a client may send.</summary>
    public static ValueTask<OperationResult> ReportAsync(IoctlScope scope, DeviceEntry device, PageFault[]? faults)
    {
        if (faults is not { Length: > 0 and <= IoctlLimits.MaxFaultGroup }
            || Array.Exists(faults, fault => (fault.Pasid, fault.Group) != (faults[0].Pasid, faults[0].Group)))
        {
            return ValueTask.FromResult(new OperationResult(
                Errno.EINVAL, default, Failure.Because(DiagnosticReason.InvalidFaultGroup, (ulong)(faults?.Length ?? 0), IoctlLimits.MaxFaultGroup)));
        }

        return ReportAsync(
            scope,
            device,
            Array.ConvertAll(faults, RecordOf));
    }

    /// <summary>
    /// Reports a group of page faults of a device (<c>iommu_report_device_fault</c>). Where nobody is to be asked, or the queue is full, the
    /// device is told at once that the access can't be made, which is a success here.
    /// </summary>
    /// <param name="scope">The context.</param>
    /// <param name="device">The device.</param>
    /// <param name="faults">The page faults, at least one, of one PASID and group. Device, flags and cookie are set here.</param>
    public static async ValueTask<OperationResult> ReportAsync(IoctlScope scope, DeviceEntry device, IommuHwptPgfault[] faults)
        => await ReportAsync(scope, device, faults, isAwaited: false) is { } reported && reported.Errno != Errno.ENOMEM ? reported : default;

    /// <summary>Reports the page fault of an access, whose response the device takes. False where nobody is to be asked, or the queue is full.</summary>
    public static async ValueTask<bool> TryReportAccessAsync(IoctlScope scope, DeviceEntry device, PageFault fault)
        => await ReportAsync(scope, device, [RecordOf(fault)], isAwaited: true) is { Succeeded: true };

    // Null where there is no queue.
    private static async ValueTask<OperationResult?> ReportAsync(IoctlScope scope, DeviceEntry device, IommuHwptPgfault[] faults, bool isAwaited)
    {
        var pasid = faults[0].Pasid;
        var (hwpt, attachment) = FindHandler(device, pasid);
        if (hwpt?.FaultQueue is not { } queue)
        {
            return null;
        }

        for (var i = 0; i < faults.Length; i++)
        {
            var flags = (pasid == DeviceGroup.NoPasid ? IommuPgfaultFlags.None : IommuPgfaultFlags.PasidValid)
                | (i == faults.Length - 1 ? IommuPgfaultFlags.LastPage : IommuPgfaultFlags.None);
            faults[i] = faults[i] with { DevId = device.Id.Value, Flags = (uint)flags, Cookie = 0 };
        }

        return await FaultQueueHandlers.ReportAsync(scope, queue, new FaultGroup(device.Id, attachment, MemoryMarshal.AsBytes(faults.AsSpan()).ToArray(), isAwaited));
    }

    /// <summary>Answers the page faults of an attachment that has ended as invalid: nobody will answer them otherwise.</summary>
    /// <param name="scope">The context.</param>
    /// <param name="left">The page table that was attached.</param>
    /// <param name="device">The device.</param>
    /// <param name="pasid">The PASID that was attached; 0 for the device itself.</param>
    public static ValueTask DiscardAsync(IoctlScope scope, HwptEntry left, DeviceEntry device, uint pasid)
        => left.FaultQueue is { } queue ? FaultQueueHandlers.DiscardAsync(scope, queue, device.Id, pasid) : ValueTask.CompletedTask;

    private static IommuHwptPgfault RecordOf(PageFault fault) => new() { Pasid = fault.Pasid, Grpid = fault.Group, Perm = (uint)fault.Access, Addr = fault.Address };

    // find_fault_handler: page faults of a PASID that is attached to nothing go where the guest's page table of the device says.
    private static (HwptEntry? Hwpt, uint Attachment) FindHandler(DeviceEntry device, uint pasid)
    {
        if (device.HwptAt(pasid) is { } attached)
        {
            return (attached, pasid);
        }

        return pasid != DeviceGroup.NoPasid && device.Hwpt is { IsNested: true } nested && IommuDriver.Of(device.Device).HasUserPasidTable
            ? (nested, DeviceGroup.NoPasid)
            : (null, DeviceGroup.NoPasid);
    }
}
