using IommuFd.GrainInterfaces;

namespace IommuFd.Grains.Objects.Devices;

/// <summary>The IOMMU groups of a context that have a bound device, by name.</summary>
internal sealed class DeviceGroups
{
    private readonly Dictionary<string, DeviceGroup> _groups = [];

    /// <summary>The group that a device belongs to, with the devices of it that are bound already. A device without a named group has its own.</summary>
    public DeviceGroup Of(DeviceDescription device)
    {
        if (device.Group is not { } name)
        {
            return new DeviceGroup(null);
        }

        if (!_groups.TryGetValue(name, out var group))
        {
            _groups.Add(name, group = new DeviceGroup(name));
        }

        return group;
    }

    /// <summary>Forgets a group that has no bound device any more.</summary>
    public void Remove(DeviceGroup group)
    {
        if (group is { Name: { } name, Bound.Count: 0 })
        {
            _groups.Remove(name);
        }
    }
}
