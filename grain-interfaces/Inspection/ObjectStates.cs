using IommuFd.Uapi;

namespace IommuFd.GrainInterfaces;

// What an inspection shows of objects, one record per kind.

/// <summary>An area of an IOAS, as an inspection shows it.</summary>
/// <param name="Range">The IOVAs.</param>
/// <param name="Address">The caller's address, or the offset in the file, behind the first IOVA.</param>
/// <param name="File">The file; null for the caller's memory.</param>
/// <param name="Access">What DMA may do: <see cref="IommuIoasMapFlags.Readable"/>, <see cref="IommuIoasMapFlags.Writeable"/>.</param>
[GenerateSerializer, Immutable, Alias("IommuFd.IoasArea")]
public sealed record IoasArea(
    [property: Id(0)] IovaRange Range,
    [property: Id(1)] ulong Address,
    [property: Id(2)] MappedFile? File,
    [property: Id(3)] IommuIoasMapFlags Access)
{
    /// <summary>Whether what it maps is a dma-buf that was revoked: DMA reaches nothing there.</summary>
    [Id(4)]
    public bool IsRevoked { get; init; }
}

/// <summary>The state of an IOAS.</summary>
[GenerateSerializer, Immutable, Alias("IommuFd.IoasState")]
public sealed record IoasState : ObjectState
{
    /// <summary>Whether contiguous pages may be combined.</summary>
    [Id(0)]
    public bool HugePages { get; init; }

    /// <summary>Alignment of IOVAs in bytes.</summary>
    [Id(1)]
    public ulong Alignment { get; init; }

    /// <summary>Number of areas.</summary>
    [Id(2)]
    public long AreaCount { get; init; }

    /// <summary>Bytes that can be mapped: neither mapped nor reserved. 2^64 is reported as 2^64 - 1.</summary>
    [Id(3)]
    public ulong FreeBytes { get; init; }

    /// <summary>Bytes of the largest hole available to automatic IOVAs.</summary>
    [Id(4)]
    public ulong LargestHole { get; init; }

    /// <summary>
    /// The first <see cref="IoctlLimits.MaxListed"/> ranges that automatic IOVAs are taken from; empty if there is no such list.
    /// </summary>
    [Id(5)]
    public IovaRange[] Allowed { get; init; } = [];

    /// <summary>The first <see cref="IoctlLimits.MaxListed"/> ranges that can't be mapped.</summary>
    [Id(6)]
    public IovaRange[] Reserved { get; init; } = [];

    /// <summary>A page of the areas, by ascending IOVA.</summary>
    [Id(7)]
    public IoasArea[] Areas { get; init; } = [];

    /// <summary>Whether there are areas behind this page.</summary>
    [Id(8)]
    public bool HasMoreAreas { get; init; }

    /// <summary>Number of page tables that mirror the IOAS. While there is one, everything mapped is pinned.</summary>
    [Id(9)]
    public int Domains { get; init; }

    /// <summary>Number of attached accesses.</summary>
    [Id(10)]
    public int Accesses { get; init; }

    /// <summary>Number of pins that accesses have.</summary>
    [Id(11)]
    public long Pins { get; init; }

    /// <inheritdoc/>
    public bool Equals(IoasState? other) => other is not null
        && (HugePages, Alignment, AreaCount, FreeBytes, LargestHole, HasMoreAreas)
            == (other.HugePages, other.Alignment, other.AreaCount, other.FreeBytes, other.LargestHole, other.HasMoreAreas)
        && (Domains, Accesses, Pins) == (other.Domains, other.Accesses, other.Pins)
        && Allowed.AsSpan().SequenceEqual(other.Allowed)
        && Reserved.AsSpan().SequenceEqual(other.Reserved)
        && Areas.AsSpan().SequenceEqual(other.Areas);

    /// <inheritdoc/>
    public override int GetHashCode() => HashCode.Combine(HugePages, AreaCount, FreeBytes);
}

/// <summary>The state of a bound device.</summary>
/// <param name="Device">The device, as its driver described it.</param>
/// <param name="Driver">Its holder, as shown in lists of holders: the driver that bound it, or its selftest object.</param>
/// <param name="Hwpt">The HWPT that it is attached to; 0 for none.</param>
[GenerateSerializer, Immutable, Alias("IommuFd.DeviceState")]
public sealed record DeviceState([property: Id(0)] DeviceDescription Device, [property: Id(1)] string Driver, [property: Id(2)] ObjectId Hwpt) : ObjectState
{
    /// <summary>Accesses of the device that could not be translated, since it was bound.</summary>
    [Id(3)]
    public ulong DmaFaults { get; init; }

    /// <summary>The last of them; null for none.</summary>
    [Id(4)]
    public DmaFault? LastDmaFault { get; init; }
}

/// <summary>An access of a device that could not be translated.</summary>
/// <param name="Errno">Why: EINVAL not attached, ENOENT not mapped, EPERM not permitted, EOVERFLOW past the last IOVA, EOPNOTSUPP by a guest's page table, EFAULT the memory behind it is gone.</param>
/// <param name="Iova">The first IOVA that could not be translated.</param>
/// <param name="Write">Whether it was a write.</param>
/// <param name="Pasid">Its PASID; 0 for none.</param>
[GenerateSerializer, Immutable, Alias("IommuFd.DmaFault")]
public sealed record DmaFault([property: Id(0)] Errno Errno, [property: Id(1)] ulong Iova, [property: Id(2)] bool Write, [property: Id(3)] uint Pasid)
{
    /// <inheritdoc/>
    public override string ToString() => $"{(Write ? "write" : "read")} of 0x{Iova:X}{(Pasid == 0 ? "" : $" with PASID {Pasid}")}: {Errno}";
}

/// <summary>The state of a hardware page table.</summary>
[GenerateSerializer, Immutable, Alias("IommuFd.HwptState")]
public sealed record HwptState : ObjectState
{
    /// <summary>The IOAS that it mirrors.</summary>
    [Id(0)]
    public ObjectId Ioas { get; init; }

    /// <summary>Whether it was allocated automatically when a device was attached to the IOAS, and goes with its last device.</summary>
    [Id(1)]
    public bool IsAuto { get; init; }

    /// <summary>What it was allocated for.</summary>
    [Id(2)]
    public IommuHwptAllocFlags Flags { get; init; }

    /// <summary>The name of the emulated IOMMU driver.</summary>
    [Id(3)]
    public string Iommu { get; init; } = "";

    /// <summary>The IOVAs that it can map.</summary>
    [Id(4)]
    public IovaRange Aperture { get; init; }

    /// <summary>Bytes of its smallest page.</summary>
    [Id(5)]
    public ulong PageSize { get; init; }

    /// <summary>Whether dirty pages are tracked now.</summary>
    [Id(6)]
    public bool TracksDirtyPages { get; init; }

    /// <summary>Number of dirty pages, of <see cref="PageSize"/> bytes each.</summary>
    [Id(7)]
    public long DirtyPages { get; init; }

    /// <summary>The queue that page faults go to; 0 for none.</summary>
    [Id(8)]
    public ObjectId FaultQueue { get; init; }
}

/// <summary>The state of an access.</summary>
/// <param name="Driver">The driver that created it, as shown in lists of holders.</param>
/// <param name="Ioas">The IOAS that it is attached to; 0 for none.</param>
/// <param name="NeedsPinPages">Whether it pins pages.</param>
/// <param name="Pins">Number of its pins.</param>
/// <param name="PinnedBytes">Total bytes of its pins.</param>
[GenerateSerializer, Immutable, Alias("IommuFd.AccessState")]
public sealed record AccessState(
    [property: Id(0)] string Driver,
    [property: Id(1)] ObjectId Ioas,
    [property: Id(2)] bool NeedsPinPages,
    [property: Id(3)] long Pins,
    [property: Id(4)] ulong PinnedBytes) : ObjectState;

/// <summary>The state of a selftest object: an emulated device's owner.</summary>
/// <param name="Device">The bound device.</param>
[GenerateSerializer, Immutable, Alias("IommuFd.SelftestState")]
public sealed record SelftestState([property: Id(0)] ObjectId Device) : ObjectState;

/// <summary>The state of a nested HWPT: a guest's page table.</summary>
[GenerateSerializer, Immutable, Alias("IommuFd.NestedHwptState")]
public sealed record NestedHwptState : ObjectState
{
    /// <summary>The HWPT that translates what the guest's page table leads to.</summary>
    [Id(0)]
    public ObjectId Parent { get; init; }

    /// <summary>The vIOMMU that it was allocated on; 0 where it was allocated on its parent.</summary>
    [Id(1)]
    public ObjectId Viommu { get; init; }

    /// <summary>The queue that page faults go to; 0 for none.</summary>
    [Id(2)]
    public ObjectId FaultQueue { get; init; }

    /// <summary>What it was allocated for.</summary>
    [Id(3)]
    public IommuHwptAllocFlags Flags { get; init; }

    /// <summary>The name of the emulated IOMMU driver.</summary>
    [Id(4)]
    public string Iommu { get; init; } = "";

    /// <summary>How many entries of invalidations it has carried out.</summary>
    [Id(5)]
    public long Invalidations { get; init; }
}

/// <summary>The state of a fault queue.</summary>
/// <param name="IsOpen">Whether its file is open.</param>
/// <param name="Waiting">Groups of page faults that were not read yet.</param>
/// <param name="Unanswered">Groups that were read and got no response yet.</param>
[GenerateSerializer, Immutable, Alias("IommuFd.FaultQueueState")]
public sealed record FaultQueueState([property: Id(0)] bool IsOpen, [property: Id(1)] int Waiting, [property: Id(2)] int Unanswered) : ObjectState;

/// <summary>The state of a vIOMMU.</summary>
[GenerateSerializer, Immutable, Alias("IommuFd.ViommuState")]
public sealed record ViommuState : ObjectState
{
    /// <summary>The kind.</summary>
    [Id(0)]
    public IommuViommuType Type { get; init; }

    /// <summary>The nesting parent.</summary>
    [Id(1)]
    public ObjectId Hwpt { get; init; }

    /// <summary>The name of the emulated IOMMU driver.</summary>
    [Id(2)]
    public string Iommu { get; init; } = "";

    /// <summary>Number of its vDevices.</summary>
    [Id(3)]
    public int Vdevices { get; init; }

    /// <summary>Number of its hardware queues.</summary>
    [Id(4)]
    public int HwQueues { get; init; }

    /// <summary>Where a program can map its pages; 0 for nowhere.</summary>
    [Id(5)]
    public ulong MmapOffset { get; init; }
}

/// <summary>The state of a vDevice.</summary>
/// <param name="Viommu">The vIOMMU.</param>
/// <param name="Device">The device.</param>
/// <param name="VirtId">The device's id on the vIOMMU.</param>
[GenerateSerializer, Immutable, Alias("IommuFd.VdeviceState")]
public sealed record VdeviceState([property: Id(0)] ObjectId Viommu, [property: Id(1)] ObjectId Device, [property: Id(2)] ulong VirtId) : ObjectState;

/// <summary>The state of a vIOMMU's event queue.</summary>
/// <param name="Viommu">The vIOMMU.</param>
/// <param name="Type">The kind of its events.</param>
/// <param name="Depth">Events that it holds at most.</param>
/// <param name="IsOpen">Whether its file is open.</param>
/// <param name="Waiting">Events that were not read yet.</param>
/// <param name="Lost">Events that were lost.</param>
[GenerateSerializer, Immutable, Alias("IommuFd.VeventqState")]
public sealed record VeventqState(
    [property: Id(0)] ObjectId Viommu,
    [property: Id(1)] IommuVeventqType Type,
    [property: Id(2)] uint Depth,
    [property: Id(3)] bool IsOpen,
    [property: Id(4)] int Waiting,
    [property: Id(5)] long Lost) : ObjectState;

/// <summary>The state of a hardware queue.</summary>
/// <param name="Viommu">The vIOMMU.</param>
/// <param name="Index">Its index on the vIOMMU.</param>
/// <param name="Memory">The IOVAs of its memory in the nesting parent, which can't be unmapped.</param>
/// <param name="Access">The access that pins the memory.</param>
[GenerateSerializer, Immutable, Alias("IommuFd.HwQueueState")]
public sealed record HwQueueState(
    [property: Id(0)] ObjectId Viommu, [property: Id(1)] uint Index, [property: Id(2)] IovaRange Memory, [property: Id(3)] ObjectId Access) : ObjectState;
