using IommuFd.Grains.Objects.Hwpts;

namespace IommuFd.Grains.Objects.Devices;

// Devices that their IOMMU can't tell apart (the kernel's iommufd_group): they are attached to one page table, all of those that are
// attached at all. The first device attaches the group, the others join it, and the last one to leave detaches it.
//
// Always: Hwpt is set exactly while Attached has a device; each attached device holds Hwpt.

/// <summary>The devices of one IOMMU group that are bound to a context.</summary>
/// <param name="name">The group's name; null for the group of a device alone.</param>
internal sealed class DeviceGroup(string? name)
{
    public string? Name { get; } = name;

    /// <summary>The bound devices, in the order in which they were bound.</summary>
    public List<DeviceEntry> Bound { get; } = new(capacity: 1);

    /// <summary>Those that are attached, in the order in which they were attached.</summary>
    public List<DeviceEntry> Attached { get; } = new(capacity: 1);

    /// <summary>The page table that they are attached to; null for none.</summary>
    public HwptEntry? Hwpt { get; set; }
}
