using IommuFd.GrainInterfaces;
using IommuFd.Grains.Contexts;
using IommuFd.Grains.Objects.Devices;

namespace IommuFd.Grains.Objects.Selftests;

/// <summary>The owner of an emulated device that IOMMU_TEST_CMD has made: its driver, as an object that programs can destroy.</summary>
internal sealed class SelftestEntry(ObjectId id, long serial) : ObjectEntry(id, ObjectType.Selftest, serial)
{
    /// <summary>The device; null only while it is built.</summary>
    public DeviceEntry? Device { get; set; }
}
