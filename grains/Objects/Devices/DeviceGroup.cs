using IommuFd.Grains.Objects.Hwpts;

namespace IommuFd.Grains.Objects.Devices;

// Devices that their IOMMU can't tell apart (the kernel's iommufd_group): they are attached to one page table, all of those that are
// attached at all. The first device attaches the group, the others join it, and the last one to leave detaches it. Each PASID of theirs
// is attached likewise, on its own.
//
// Always: each device that is attached holds what HwptAt answers.

/// <summary>The devices of one IOMMU group that are bound to a context.</summary>
/// <param name="name">The group's name; null for the group of a device alone.</param>
internal sealed class DeviceGroup(string? name)
{
    /// <summary>The attachment of a device itself and not of one of its PASIDs (<c>IOMMU_NO_PASID</c>).</summary>
    public const uint NoPasid = 0;

    public string? Name { get; } = name;

    /// <summary>The bound devices, in the order in which they were bound.</summary>
    public List<DeviceEntry> Bound { get; } = new(capacity: 1);

    /// <summary>Whether a PASID of one of them is attached.</summary>
    public bool HasPasids => Bound.Exists(device => device.AttachedPasids.Any(pasid => pasid != NoPasid));

    /// <summary>The page table that the devices, or a PASID of theirs, are attached to; null for none.</summary>
    public HwptEntry? HwptAt(uint pasid) => Bound.Find(device => device.HwptAt(pasid) is not null)?.HwptAt(pasid);

    /// <summary>The devices that are attached, or whose PASID is.</summary>
    public List<DeviceEntry> AttachedAt(uint pasid) => Bound.FindAll(device => device.HwptAt(pasid) is not null);
}
