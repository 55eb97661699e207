using System.Globalization;
using IommuFd.Uapi;

namespace IommuFd.GrainInterfaces;

/// <summary>Says what a device accessed in vain, why, and what to do: the same words in traces, in the command line and on the dashboard.</summary>
internal static class DmaFaultText
{
    /// <summary>The device, by the name that people gave it and its id: <c>0000:01:00.0 (device 4)</c>.</summary>
    public static string Device(RecordedDmaFault fault) => $"{fault.DeviceName} (device {fault.Device})";

    /// <summary>The access: <c>write 0x10000+4096</c>, <c>read 0x10000+64 with PASID 5</c>.</summary>
    public static string Access(RecordedDmaFault fault) => string.Create(
        CultureInfo.InvariantCulture,
        $"{Direction(fault)} 0x{fault.Range.Iova:X}+{fault.Range.Length}{(fault.Fault.Pasid == 0 ? "" : $" with PASID {fault.Fault.Pasid}")}");

    /// <summary>Whether the device reads or writes memory.</summary>
    public static string Direction(RecordedDmaFault fault) => fault.Fault.Write ? "write" : "read";

    /// <summary>What became of it: <c>ENOENT, refused</c>.</summary>
    public static string Outcome(RecordedDmaFault fault)
        => $"{fault.Fault.Errno}, {(fault.FaultQueue == default ? "refused" : $"waits for a response in fault queue {fault.FaultQueue}")}";

    /// <summary>Why, in one sentence.</summary>
    public static string Why(RecordedDmaFault fault) => fault.Diagnostic?.ToString() ?? "no reason was given";

    /// <summary>All of it in one line, without who and when.</summary>
    public static string Describe(RecordedDmaFault fault) => $"{Device(fault)} {Access(fault)}: {Outcome(fault)}: {Why(fault)}";

    /// <summary>What to do about it, in one sentence.</summary>
    public static string Advice(RecordedDmaFault fault) => fault.FaultQueue != default ? "read the page fault from the queue, map the page, and write a response"
        : fault.Fault.Errno switch
        {
            Errno.ENOENT when fault.Fault.Iova != fault.Range.Iova => "the access begins where memory is mapped and runs past its end: map more (IOMMU_IOAS_MAP), or give the device a smaller length",
            Errno.ENOENT when fault.Diagnostic?.Overlap is null => "map memory at the IOVA (IOMMU_IOAS_MAP) before the device is told of it, in the IOAS that the device is attached to",
            Errno.ENOENT => "give the device an IOVA that is mapped, and no virtual address; if this one was mapped, stop the device before unmapping it",
            Errno.EPERM => $"map the area with IOMMU_IOAS_MAP_{(fault.Fault.Write ? "WRITEABLE" : "READABLE")}, or look for what lets the device {Direction(fault)} there",
            Errno.EINVAL => $"attach {(fault.Fault.Pasid == 0 ? "the device" : "the PASID")} before it is used (VFIO_DEVICE_ATTACH_IOMMUFD_PT), and stop the device before detaching it",
            Errno.EOVERFLOW => "the device was given a wrong address or length: look at what the driver has written to its registers and queues",
            Errno.EOPNOTSUPP => "attach the device to an IOAS or a HWPT that is not nested: a guest's page tables are not walked",
            Errno.EFAULT => "unmap the IOVAs (IOMMU_IOAS_UNMAP) before the memory behind them is unmapped or its program ends",
            _ => "",
        };
}
