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
            Array.ConvertAll(faults, fault => new IommuHwptPgfault { Pasid = fault.Pasid, Grpid = fault.Group, Perm = (uint)fault.Access, Addr = fault.Address }));
    }

    /// <summary>
    /// Reports a group of page faults of a device (<c>iommu_report_device_fault</c>). Where nobody is to be asked, or the queue is full, the
    /// device is told at once that the access can't be made, which is a success here.
    /// </summary>
    /// <param name="scope">The context.</param>
    /// <param name="device">The device.</param>
    /// <param name="faults">The page faults, at least one, of one PASID and group. Device, flags and cookie are set here.</param>
    public static async ValueTask<OperationResult> ReportAsync(IoctlScope scope, DeviceEntry device, IommuHwptPgfault[] faults)
    {
        var pasid = faults[0].Pasid;
        var (hwpt, attachment) = FindHandler(device, pasid);
        if (hwpt?.FaultQueue is not { } queue)
        {
            return default;
        }

        for (var i = 0; i < faults.Length; i++)
        {
            var flags = (pasid == DeviceGroup.NoPasid ? IommuPgfaultFlags.None : IommuPgfaultFlags.PasidValid)
                | (i == faults.Length - 1 ? IommuPgfaultFlags.LastPage : IommuPgfaultFlags.None);
            faults[i] = faults[i] with { DevId = device.Id.Value, Flags = (uint)flags, Cookie = 0 };
        }

        var reported = await FaultQueueHandlers.ReportAsync(scope, queue, new FaultGroup(device.Id, attachment, MemoryMarshal.AsBytes(faults.AsSpan()).ToArray()));
        return reported.Errno == Errno.ENOMEM ? default : reported;
    }

    /// <summary>Answers the page faults of an attachment that has ended as invalid: nobody will answer them otherwise.</summary>
    /// <param name="scope">The context.</param>
    /// <param name="left">The page table that was attached.</param>
    /// <param name="device">The device.</param>
    /// <param name="pasid">The PASID that was attached; 0 for the device itself.</param>
    public static ValueTask DiscardAsync(IoctlScope scope, HwptEntry left, DeviceEntry device, uint pasid)
        => left.FaultQueue is { } queue ? FaultQueueHandlers.DiscardAsync(scope, queue, device.Id, pasid) : ValueTask.CompletedTask;

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
