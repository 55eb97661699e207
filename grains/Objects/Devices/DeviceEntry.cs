using IommuFd.GrainInterfaces;
using IommuFd.Grains.Encoding;
using IommuFd.Grains.Iommus;
using IommuFd.Grains.Model;
using IommuFd.Grains.Objects.Hwpts;
using IommuFd.Grains.Objects.Vdevices;

namespace IommuFd.Grains.Objects.Devices;

/// <summary>A bound device in its context's table. It is a leaf: only the driver that bound it holds it.</summary>
/// <param name="id">Its id.</param>
/// <param name="serial">Its serial number.</param>
/// <param name="device">The device.</param>
/// <param name="group">Its group.</param>
internal sealed class DeviceEntry(ObjectId id, long serial, DeviceDescription device, DeviceGroup group) : DriverOwnedEntry(id, DeviceKind.Instance, serial)
{
    // Hardly any device has PASIDs that are attached.
    private SortedDictionary<uint, Hold>? _pasids;
    private Hold? _attachment;

    public DeviceDescription Device { get; } = device;

    public override string Name => Device.Name;

    public DeviceGroup Group { get; } = group;

    /// <summary>The page table that it is attached to; null for none.</summary>
    public HwptEntry? Hwpt => HwptAt(DeviceGroup.NoPasid);

    /// <summary>What its IOMMU's driver remembers of its attachments; null for nothing.</summary>
    public DeviceAttachment? Attachment { get; set; }

    /// <summary>The device as a vIOMMU knows it, which goes with it; null for none.</summary>
    public VdeviceEntry? Vdevice { get; set; }

    public override ObjectEntry? Companion => Vdevice;

    /// <summary>Accesses that could not be translated.</summary>
    public ulong DmaFaults { get; private set; }

    /// <summary>The last of them; null for none.</summary>
    public DmaFault? LastDmaFault { get; private set; }

    /// <summary>Which of its PASIDs are attached, itself included.</summary>
    public IEnumerable<uint> AttachedPasids
        => _attachment is null ? _pasids?.Keys ?? Enumerable.Empty<uint>() : (_pasids?.Keys ?? Enumerable.Empty<uint>()).Prepend(DeviceGroup.NoPasid);

    /// <summary>Restores a device, behind the older ones of its group.</summary>
    public static DeviceEntry Restore(ContextModel context, ObjectId id, long serial, EntrySnapshot? snapshot)
    {
        var saved = SnapshotFormat.Expect<DeviceEntrySnapshot>(snapshot);
        var description = saved.Device;
        SnapshotFormat.Require(description is not null && description.IsSound() && IommuDriver.Find(description.Iommu) is not null, "A device is not one that could have been bound.");
        var device = new DeviceEntry(id, serial, description, context.Shared<DeviceGroups>().Of(description))
        {
            Attachment = saved.Attachment,
            DmaFaults = saved.DmaFaults,
            LastDmaFault = saved.LastDmaFault,
        };
        device.Group.Bound.Add(device);
        return device;
    }

    public override EntrySnapshot Save() => new DeviceEntrySnapshot { Device = Device, Pasids = SavePasids(), Attachment = Attachment, DmaFaults = DmaFaults, LastDmaFault = LastDmaFault };

    public override void Relink(EntrySnapshot? snapshot)
    {
        base.Relink(snapshot);
        var column = SnapshotFormat.Expect<DeviceEntrySnapshot>(snapshot).Pasids;
        var pasids = column.Read();
        for (var hold = FirstHeld; hold is not null; hold = hold.NextHeld)
        {
            var pasid = column == default ? DeviceGroup.NoPasid : pasids.Next<uint>();
            SnapshotFormat.Require(hold.Target is HwptEntry && HoldAt(pasid) is null, "A device is attached to something else than one HWPT for itself and each PASID.");
            SetHold(pasid, hold);
        }

        pasids.End();
    }

    /// <summary>The page table that it, or a PASID of it, is attached to; null for none.</summary>
    public HwptEntry? HwptAt(uint pasid) => (HwptEntry?)HoldAt(pasid)?.Target;

    /// <summary>Which of its PASIDs has a hold.</summary>
    public uint PasidOf(Hold hold) => AttachedPasids.First(pasid => HoldAt(pasid) == hold);

    /// <summary>Holds a page table for itself or a PASID, and drops the hold on the previous one.</summary>
    public void Attach(uint pasid, HwptEntry hwpt)
    {
        var before = HoldAt(pasid);
        SetHold(pasid, Hold.RefToUsers(this, hwpt, pasid == DeviceGroup.NoPasid ? "attached" : $"attached, PASID {pasid}"));
        before?.Drop();
    }

    /// <summary>Drops the hold on the page table of itself or a PASID.</summary>
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

    /// <summary>Counts an access that could not be translated.</summary>
    public void NoteDmaFault(DmaFault fault) => (DmaFaults, LastDmaFault) = (DmaFaults + 1, fault);

    private void SetHold(uint pasid, Hold hold)
    {
        if (pasid == DeviceGroup.NoPasid)
        {
            _attachment = hold;
        }
        else
        {
            (_pasids ??= [])[pasid] = hold;
        }
    }

    // What each hold is for, in the order of the holds.
    private DeltaColumn SavePasids()
    {
        if (_pasids is not { Count: > 0 })
        {
            return default;
        }

        var pasidOf = _pasids.ToDictionary(pair => pair.Value, pair => pair.Key);
        var pasids = new ColumnWriter();
        for (var hold = FirstHeld; hold is not null; hold = hold.NextHeld)
        {
            pasids.Add(hold == _attachment ? DeviceGroup.NoPasid : pasidOf[hold]);
        }

        return pasids.ToColumn();
    }

    private Hold? HoldAt(uint pasid) => pasid == DeviceGroup.NoPasid ? _attachment : _pasids?.GetValueOrDefault(pasid);
}

/// <summary>A saved device of a context's table.</summary>
[GenerateSerializer, Immutable, OmitDefaultMemberValues, SuppressReferenceTracking, Alias("IommuFd.DeviceEntrySnapshot")]
internal sealed record DeviceEntrySnapshot : EntrySnapshot
{
    [Id(0)]
    public required DeviceDescription Device { get; init; }

    /// <summary>The PASIDs that are attached, 0 for the device itself, in the order of its holds: a column. No numbers where only itself is, or nothing.</summary>
    [Id(1)]
    public DeltaColumn Pasids { get; init; }

    /// <summary>What its IOMMU's driver remembers of its attachments; null for nothing.</summary>
    [Id(2)]
    public DeviceAttachment? Attachment { get; init; }

    /// <summary>Accesses that could not be translated.</summary>
    [Id(3)]
    public ulong DmaFaults { get; init; }

    /// <summary>The last of them; null for none.</summary>
    [Id(4)]
    public DmaFault? LastDmaFault { get; init; }
}
