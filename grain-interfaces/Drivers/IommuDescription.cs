using System.Numerics;

namespace IommuFd.GrainInterfaces;

/// <summary>What the IOMMU in front of a device can do, where the device's description chooses that (<see cref="DeviceDescription.VirtualIommu"/>).</summary>
[GenerateSerializer, Immutable, Alias("IommuFd.IommuDescription")]
public sealed record IommuDescription
{
    /// <summary>The fewest bits of an IOVA.</summary>
    public const int MinAddressWidth = 32;

    /// <summary>The most bits of an IOVA.</summary>
    public const int MaxAddressWidth = 64;

    /// <summary>Bits of an IOVA: <see cref="MinAddressWidth"/> to <see cref="MaxAddressWidth"/>, for example 39, 48 or 57.</summary>
    [Id(0)]
    public int AddressWidth { get; init; } = 48;

    /// <summary>
    /// The sizes of its pages in bytes, one bit each. The smallest, 512 to 4,096 bytes, is what IOVAs and lengths must be aligned to.
    /// </summary>
    [Id(1)]
    public ulong PageSizes { get; init; } = (1UL << 12) | (1UL << 21) | (1UL << 30);

    /// <summary>
    /// Whether it can be a guest's: HWPTs can be nest parents, and vIOMMUs of the kind <see cref="Uapi.IommuViommuType.ArmSmmuv3"/> can be
    /// allocated on them.
    /// </summary>
    [Id(2)]
    public bool CanNest { get; init; } = true;

    /// <summary>Whether the description keeps its limits. A client may send anything.</summary>
    internal bool IsSound()
        => AddressWidth is >= MinAddressWidth and <= MaxAddressWidth && BitOperations.TrailingZeroCount(PageSizes) is >= 9 and <= 12;
}
