using System.Globalization;

namespace IommuFd.Linearizability;

// The objects of a guest's IOMMU. The selftest's caches have four entries each, which start with one value; an invalidation sets an entry to 0. So a cache is the
// set of its invalidated entries, one bit each.

/// <summary>A nested page table, which holds what it nests on.</summary>
/// <param name="Base">The nesting parent or the vIOMMU that it was allocated on.</param>
/// <param name="Iotlb">The value that its cache starts with.</param>
/// <param name="Invalidated">The entries of its cache that are 0.</param>
internal sealed record NestedHwptObject(uint Base, uint Iotlb, uint Invalidated) : ContextObject
{
    public override string ToString() => string.Create(CultureInfo.InvariantCulture, $"nested HWPT on {Base}, cache 0x{Iotlb:X} without {Invalidated:B4}");
}

/// <summary>A virtual IOMMU, which holds its nesting parent.</summary>
/// <param name="Hwpt">The nesting parent.</param>
internal sealed record ViommuObject(uint Hwpt) : ContextObject
{
    public override string ToString() => $"vIOMMU on {Hwpt}";
}

/// <summary>A virtual device, which holds its vIOMMU, and goes with its device.</summary>
/// <param name="Viommu">The vIOMMU.</param>
/// <param name="Device">The device.</param>
/// <param name="VirtId">The guest's id of it.</param>
internal sealed record VdeviceObject(uint Viommu, uint Device, ulong VirtId) : ContextObject
{
    public override string ToString() => string.Create(CultureInfo.InvariantCulture, $"vDevice 0x{VirtId:X} of {Viommu} for {Device}");
}

/// <summary>What is left of a vDevice that went with its device: the id stays taken, and names nothing.</summary>
internal sealed record TombstoneObject : ContextObject
{
    public static readonly TombstoneObject Instance = new();

    public override string ToString() => "tombstone";
}
