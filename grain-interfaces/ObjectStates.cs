using IommuFd.Uapi;

namespace IommuFd.GrainInterfaces;

// What an inspection shows of devices, page tables and accesses. Those of an IOAS stand beside its grain.

/// <summary>What is known of a bound device.</summary>
/// <param name="Device">The device, as its driver described it.</param>
/// <param name="Driver">Who bound it, as a holder is shown: a driver, or the selftest's owner of the device.</param>
/// <param name="Hwpt">The HWPT that it is attached to; 0 for none.</param>
[GenerateSerializer, Immutable, Alias("IommuFd.DeviceState")]
public sealed record DeviceState([property: Id(0)] DeviceDescription Device, [property: Id(1)] string Driver, [property: Id(2)] ObjectId Hwpt) : ObjectState;

/// <summary>What is known of a hardware page table.</summary>
[GenerateSerializer, Immutable, Alias("IommuFd.HwptState")]
public sealed record HwptState : ObjectState
{
    /// <summary>The IOAS that it mirrors.</summary>
    [Id(0)]
    public ObjectId Ioas { get; init; }

    /// <summary>Whether it was made by attaching a device to the IOAS, and goes with its last device.</summary>
    [Id(1)]
    public bool IsAuto { get; init; }

    /// <summary>What it was made for.</summary>
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

    /// <summary>Pages that are dirty, of <see cref="PageSize"/>.</summary>
    [Id(7)]
    public long DirtyPages { get; init; }
}

/// <summary>What is known of an access.</summary>
/// <param name="Driver">Who made it, as a holder is shown.</param>
/// <param name="Ioas">The IOAS that it is attached to; 0 for none.</param>
/// <param name="NeedsPinPages">Whether it pins pages.</param>
/// <param name="Pins">Pins that it has.</param>
/// <param name="PinnedBytes">Bytes that they have together.</param>
[GenerateSerializer, Immutable, Alias("IommuFd.AccessState")]
public sealed record AccessState(
    [property: Id(0)] string Driver,
    [property: Id(1)] ObjectId Ioas,
    [property: Id(2)] bool NeedsPinPages,
    [property: Id(3)] long Pins,
    [property: Id(4)] ulong PinnedBytes) : ObjectState;

/// <summary>What is known of an object of the selftest: an emulated device's owner.</summary>
/// <param name="Device">The bound device.</param>
[GenerateSerializer, Immutable, Alias("IommuFd.SelftestState")]
public sealed record SelftestState([property: Id(0)] ObjectId Device) : ObjectState;
