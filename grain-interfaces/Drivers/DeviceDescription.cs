namespace IommuFd.GrainInterfaces;

/// <summary>A device that a driver binds to a context: what Linux learns about it from its bus and its IOMMU.</summary>
[GenerateSerializer, Immutable, Alias("IommuFd.DeviceDescription")]
public sealed record DeviceDescription
{
    /// <summary>The IOMMU driver that emulates Linux's own selftest: aperture 0x100_0000 to 0x7FFF_FFFF, pages of 2,048 bytes.</summary>
    public const string SelftestIommu = "selftest";

    /// <summary>
    /// The IOMMU driver that emulates a PC's plain IOMMU: 48 bits of IOVAs, pages of 4 KiB, and the window 0xFEE0_0000 to 0xFEEF_FFFF
    /// reserved for interrupts.
    /// </summary>
    public const string PciIommu = "pci";

    /// <summary>
    /// The IOMMU driver that emulates an IOMMU as <see cref="IommuHardware"/> describes it. Devices whose descriptions of it are equal are
    /// behind one IOMMU. What a guest's IOMMU needs, it has in the formats of Arm's SMMUv3.
    /// </summary>
    public const string VirtualIommu = "virtual";

    /// <summary>The maximum width of a device's PASIDs in bits, as in PCI.</summary>
    public const int MaxPasidWidth = 20;

    /// <summary>
    /// The device's name, for people: 1 to <see cref="IoctlLimits.MaxNameLength"/> characters, for example <c>0000:01:00.0</c>.
    /// </summary>
    [Id(0)]
    public required string Name { get; init; }

    /// <summary>
    /// The IOMMU in front of it: the name of an emulated IOMMU driver, <see cref="SelftestIommu"/>, <see cref="PciIommu"/> or
    /// <see cref="VirtualIommu"/>.
    /// </summary>
    [Id(1)]
    public string Iommu { get; init; } = SelftestIommu;

    /// <summary>
    /// Its IOMMU group: devices that the IOMMU can't tell apart, which are attached to one page table together. Null for a group of its
    /// own.
    /// </summary>
    [Id(2)]
    public string? Group { get; init; }

    /// <summary>
    /// IOVAs that can't be mapped while the device is attached, such as windows for interrupts: at most
    /// <see cref="IoctlLimits.MaxReservedRegions"/>.
    /// </summary>
    [Id(3)]
    public IovaRange[] ReservedRegions { get; init; } = [];

    /// <summary>Whether the IOMMU in front of the device can track which pages it has written.</summary>
    [Id(4)]
    public bool TracksDirtyPages { get; init; } = true;

    /// <summary>Bits of a PASID of the device, 0 to <see cref="MaxPasidWidth"/>; 0 without PASIDs.</summary>
    [Id(5)]
    public int PasidWidth { get; init; }

    /// <summary>What its IOMMU can do, for a <see cref="VirtualIommu"/>: null for the defaults. Other IOMMUs take no description.</summary>
    [Id(6)]
    public IommuDescription? IommuHardware { get; init; }

    /// <inheritdoc/>
    public override string ToString() => Name;

    /// <summary>Whether the description keeps the limits of a device. A client may send anything, null texts included.</summary>
    internal bool IsSound()
        => IsName(Name)
            && IsName(Iommu)
            && (Group is null || IsName(Group))
            && ReservedRegions is { Length: <= IoctlLimits.MaxReservedRegions } regions
            && Array.TrueForAll(regions, region => region.Start <= region.Last)
            && PasidWidth is >= 0 and <= MaxPasidWidth
            && (IommuHardware is null || (Iommu == VirtualIommu && IommuHardware.IsSound()));

    private static bool IsName(string? name) => name is { Length: > 0 and <= IoctlLimits.MaxNameLength };
}
