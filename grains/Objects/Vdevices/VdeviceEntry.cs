using IommuFd.GrainInterfaces;
using IommuFd.Grains.Encoding;
using IommuFd.Grains.Model;
using IommuFd.Grains.Objects.Devices;
using IommuFd.Grains.Objects.Viommus;

namespace IommuFd.Grains.Objects.Vdevices;

// A vDevice does not hold its device, which may go at any time: the vDevice goes with it, and its id stays taken, so that no other object gets an id that the
// program still uses for the vDevice.

/// <summary>A device as a vIOMMU's guest knows it, in its context's table.</summary>
/// <param name="id">Its id.</param>
/// <param name="serial">Its serial number.</param>
/// <param name="viommu">The vIOMMU, which it holds once it is built.</param>
/// <param name="device">The device.</param>
/// <param name="virtId">The device's id on the vIOMMU.</param>
internal sealed class VdeviceEntry(ObjectId id, long serial, ViommuEntry viommu, DeviceEntry device, ulong virtId) : ObjectEntry(id, VdeviceKind.Instance, serial)
{
    public ViommuEntry Viommu { get; } = viommu;

    public DeviceEntry Device { get; } = device;

    public ulong VirtId { get; } = virtId;

    /// <summary>Which id it has on which vIOMMU, in words.</summary>
    public string Place => $"0x{VirtId:X} on {Viommu.Ref}";

    /// <summary>It goes with its device, so nothing can hold it.</summary>
    public override bool IsLeaf => true;

    /// <summary>The device's id on a vIOMMU; null where that is another.</summary>
    public ulong? IdOn(ObjectId viommu) => Viommu.Id == viommu ? VirtId : null;

    public static VdeviceEntry Restore(ContextModel context, ObjectId id, long serial, EntrySnapshot? snapshot)
    {
        var saved = SnapshotFormat.Expect<VdeviceEntrySnapshot>(snapshot);
        var viommu = context.Objects.Find<ViommuEntry>(saved.Viommu) ?? throw SnapshotFormat.Of($"vDevice {id} belongs to {saved.Viommu}, which is no older vIOMMU.");
        var device = context.Objects.Find<DeviceEntry>(saved.Device) ?? throw SnapshotFormat.Of($"vDevice {id} stands for {saved.Device}, which is no older device.");
        SnapshotFormat.Require(device.Vdevice is null, "A device has two vDevices.");
        return device.Vdevice = new VdeviceEntry(id, serial, viommu, device, saved.VirtId);
    }

    public override EntrySnapshot Save() => new VdeviceEntrySnapshot(Viommu.Id.Value, Device.Id.Value, VirtId);

    public override void Relink(EntrySnapshot? snapshot)
        => SnapshotFormat.Require(FirstHeld is { NextHeld: null } hold && hold.Target == Viommu, "A vDevice must hold its vIOMMU and nothing else.");
}

/// <summary>A saved vDevice of a context's table.</summary>
[GenerateSerializer, Immutable, OmitDefaultMemberValues, SuppressReferenceTracking, Alias("IommuFd.VdeviceEntrySnapshot")]
internal sealed record VdeviceEntrySnapshot([property: Id(0)] uint Viommu, [property: Id(1)] uint Device, [property: Id(2)] ulong VirtId) : EntrySnapshot;
