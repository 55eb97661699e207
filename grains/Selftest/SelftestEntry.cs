using IommuFd.GrainInterfaces;
using IommuFd.Grains.Encoding;
using IommuFd.Grains.Model;
using IommuFd.Grains.Objects.Devices;

namespace IommuFd.Grains.Selftest;

/// <summary>The owner of an emulated device that IOMMU_TEST_CMD has made: its driver, as an object that programs can destroy.</summary>
internal sealed class SelftestEntry(ObjectId id, long serial) : ObjectEntry(id, SelftestKind.Instance, serial)
{
    /// <summary>The device; null only while it is built.</summary>
    public DeviceEntry? Device { get; set; }

    /// <summary>Finds the device, the only thing that it holds.</summary>
    public override void Relink(EntrySnapshot? snapshot)
    {
        SnapshotFormat.Require(FirstHeld is { NextHeld: null, Target: DeviceEntry }, "The owner of an emulated device holds something else than one device.");
        Device = (DeviceEntry)FirstHeld.Target;
    }
}
