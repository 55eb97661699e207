using IommuFd.Uapi;

namespace IommuFd.GrainInterfaces;

// What an emulated device asks of the IOMMU in front of it. In hardware these are no calls of a driver: the IOMMU translates each access of the device.

/// <summary>
/// The device accesses memory by IOVAs: finds the memory behind them, by the page table that the device, or its PASID, is attached to. The device's side copies
/// the bytes. A write makes the pages dirty where the page table tracks them. What can't be translated is a DMA fault: nothing of the request is, the device's
/// count of faults goes up, and where the page table has a fault queue, the fault waits there for a response.
/// </summary>
/// <param name="Device">The device. EINVAL if it, or its PASID, is not attached; EOPNOTSUPP if a guest's page table would have to be walked.</param>
/// <param name="Ranges">
/// The IOVAs: 1 to <see cref="IoctlLimits.MaxDmaRanges"/> ranges, none empty, else EINVAL; together at most <see cref="IoctlLimits.MaxAccessBytes"/>, else ENOMEM.
/// ENOENT if one is not mapped, EPERM if it does not permit the access, EOVERFLOW if a range passes the last IOVA.
/// </param>
/// <param name="Write">Whether the device writes the memory; else it reads it.</param>
/// <param name="Pasid">The PASID of the access; 0 for none.</param>
/// <param name="Group">The number that a page fault gets as its group, by the device's own counting.</param>
/// <param name="IsMemoryGone">
/// The device's side could not copy the bytes at the first IOVA although it is mapped: the memory behind it is gone. Nothing is translated, and the fault is EFAULT.
/// </param>
[GenerateSerializer, Immutable, Alias("IommuFd.TranslateRequest")]
public sealed record TranslateRequest(
    [property: Id(0)] ObjectId Device,
    [property: Id(1)] DmaRange[] Ranges,
    [property: Id(2)] bool Write,
    [property: Id(3)] uint Pasid = 0,
    [property: Id(4)] uint Group = 0,
    [property: Id(5)] bool IsMemoryGone = false) : DriverRequest;

/// <summary>
/// Takes the response to a page fault that a <see cref="TranslateRequest"/> has reported. Each response can be taken once.
/// </summary>
/// <param name="Device">The device.</param>
/// <param name="Group">
/// The number of the fault's group: EAGAIN while it has no response, ENOENT where no response will come, since the attachment that it was reported by has ended.
/// </param>
/// <param name="Pasid">The PASID of the access; 0 for none.</param>
[GenerateSerializer, Immutable, Alias("IommuFd.TakeFaultResponseRequest")]
public sealed record TakeFaultResponseRequest([property: Id(0)] ObjectId Device, [property: Id(1)] uint Group, [property: Id(2)] uint Pasid = 0) : DriverRequest;

/// <summary>A range of IOVAs that a device accesses.</summary>
/// <param name="Iova">The first IOVA, of any alignment.</param>
/// <param name="Length">Bytes, at least 1.</param>
[GenerateSerializer, Immutable, Alias("IommuFd.DmaRange")]
public readonly record struct DmaRange([property: Id(0)] ulong Iova, [property: Id(1)] ulong Length);

/// <summary>What a device's access has changed. An answer without it has changed nothing.</summary>
/// <param name="DirtiedPages">Pages that are dirty now and were not before.</param>
/// <param name="IsReported">Whether the fault waits in a fault queue for a response.</param>
/// <param name="Response">The response taken; null for none.</param>
[GenerateSerializer, Immutable, Alias("IommuFd.DmaReply")]
public sealed record DmaReply([property: Id(0)] ulong DirtiedPages, [property: Id(1)] bool IsReported = false, [property: Id(2)] IommuPageResponseCode? Response = null);
