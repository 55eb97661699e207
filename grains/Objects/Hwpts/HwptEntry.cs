using IommuFd.GrainInterfaces;
using IommuFd.Grains.Contexts;
using IommuFd.Grains.Objects.Ioas;
using IommuFd.Uapi;

namespace IommuFd.Grains.Objects.Hwpts;

// A paging HWPT in its context's table: what it is and which IOAS it mirrors. It has no grain: its domain lives in the IOAS's, with
// which it changes in one step.

/// <summary>A hardware page table.</summary>
/// <param name="id">Its id.</param>
/// <param name="serial">Its serial number.</param>
/// <param name="ioas">The IOAS that it mirrors, and holds once it is built.</param>
/// <param name="device">The device that it was made for.</param>
/// <param name="flags">What it was made for.</param>
/// <param name="isAuto">Whether attaching a device has made it; then it goes with its last device.</param>
internal sealed class HwptEntry(ObjectId id, long serial, IoasEntry ioas, DeviceDescription device, IommuHwptAllocFlags flags, bool isAuto)
    : ObjectEntry(id, ObjectType.HwptPaging, serial)
{
    public IoasEntry Ioas { get; } = ioas;

    /// <summary>The name of the IOMMU driver whose page table it is.</summary>
    public string Iommu { get; } = device.Iommu;

    public IommuHwptAllocFlags Flags { get; } = flags;

    public bool IsAuto { get; } = isAuto;

    public HwptState Describe() => new() { Ioas = Ioas.Id, IsAuto = IsAuto, Flags = Flags, Iommu = Iommu };
}
