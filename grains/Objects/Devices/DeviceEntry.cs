using IommuFd.GrainInterfaces;
using IommuFd.Grains.Contexts;
using IommuFd.Grains.Objects.Hwpts;

namespace IommuFd.Grains.Objects.Devices;

/// <summary>A bound device in its context's table. It is a leaf: only the driver that bound it holds it.</summary>
/// <param name="id">Its id.</param>
/// <param name="serial">Its serial number.</param>
/// <param name="device">The device.</param>
/// <param name="group">Its group.</param>
internal sealed class DeviceEntry(ObjectId id, long serial, DeviceDescription device, DeviceGroup group) : DrivenEntry(id, ObjectType.Device, serial)
{
    // Hardly any device has PASIDs that are attached.
    private SortedDictionary<uint, Hold>? _pasids;
    private Hold? _attachment;

    public DeviceDescription Device { get; } = device;

    public override string Name => Device.Name;

    public DeviceGroup Group { get; } = group;

    /// <summary>The page table that it is attached to; null for none.</summary>
    public HwptEntry? Hwpt => HwptAt(DeviceGroup.NoPasid);

    /// <summary>Which of its PASIDs are attached, itself included.</summary>
    public IEnumerable<uint> AttachedPasids
        => _attachment is null ? _pasids?.Keys ?? Enumerable.Empty<uint>() : (_pasids?.Keys ?? Enumerable.Empty<uint>()).Prepend(DeviceGroup.NoPasid);

    /// <summary>The page table that it, or a PASID of it, is attached to; null for none.</summary>
    public HwptEntry? HwptAt(uint pasid) => (HwptEntry?)HoldAt(pasid)?.Target;

    /// <summary>Holds a page table for itself or a PASID, and lets the one before go.</summary>
    public void Attach(uint pasid, HwptEntry hwpt)
    {
        var before = HoldAt(pasid);
        if (pasid == DeviceGroup.NoPasid)
        {
            _attachment = Hold.RefToUsers(this, hwpt, "attached");
        }
        else
        {
            (_pasids ??= [])[pasid] = Hold.RefToUsers(this, hwpt, $"attached, PASID {pasid}");
        }

        before?.Drop();
    }

    /// <summary>Lets the page table of itself or a PASID go.</summary>
    public void Detach(uint pasid)
    {
        HoldAt(pasid)?.Drop();
        if (pasid == DeviceGroup.NoPasid)
        {
            _attachment = null;
        }
        else
        {
            _pasids?.Remove(pasid);
        }
    }

    private Hold? HoldAt(uint pasid) => pasid == DeviceGroup.NoPasid ? _attachment : _pasids?.GetValueOrDefault(pasid);
}
