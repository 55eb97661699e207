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
    public DeviceDescription Device { get; } = device;

    public override string Name => Device.Name;

    public DeviceGroup Group { get; } = group;

    /// <summary>Its hold on the page table that it is attached to; null where it is not.</summary>
    public Hold? Attachment { get; private set; }

    /// <summary>The page table that it is attached to; null for none.</summary>
    public HwptEntry? Hwpt => (HwptEntry?)Attachment?.Target;

    /// <summary>Holds a page table, and lets the one before go.</summary>
    public void Attach(HwptEntry hwpt)
    {
        var before = Attachment;
        Attachment = Hold.RefToUsers(this, hwpt, "attached");
        before?.Drop();
    }

    /// <summary>Lets the page table go.</summary>
    public void Detach()
    {
        Attachment?.Drop();
        Attachment = null;
    }
}
