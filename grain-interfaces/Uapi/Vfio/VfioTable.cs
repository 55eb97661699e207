using static IommuFd.Uapi.IoctlDescriptor;

namespace IommuFd.Uapi;

/// <summary>The type1 interface's commands: what <c>/dev/iommu</c> answers of the ioctls outside its own table.</summary>
public static class VfioTable
{
    private static readonly IoctlDescriptor[] Descriptors =
    [
        OfInteger(VfioCommand.GetApiVersion, "VFIO_GET_API_VERSION"),
        OfInteger(VfioCommand.CheckExtension, "VFIO_CHECK_EXTENSION"),
        OfInteger(VfioCommand.SetIommu, "VFIO_SET_IOMMU"),
        OfVfio<VfioIommuType1Info>(VfioCommand.IommuGetInfo, "VFIO_IOMMU_GET_INFO", nameof(VfioIommuType1Info.IovaPgsizes)),
        OfVfio<VfioIommuType1DmaMap>(VfioCommand.IommuMapDma, "VFIO_IOMMU_MAP_DMA", nameof(VfioIommuType1DmaMap.Size),
            Buffer<VfioIommuType1DmaMap>(nameof(VfioIommuType1DmaMap.Vaddr), UserBufferAccess.Probe, nameof(VfioIommuType1DmaMap.Size))),
        OfVfio<VfioIommuType1DmaUnmap>(VfioCommand.IommuUnmapDma, "VFIO_IOMMU_UNMAP_DMA", nameof(VfioIommuType1DmaUnmap.Size)),
    ];

    /// <summary>Every command, by ascending number.</summary>
    public static IEnumerable<IoctlDescriptor> All => Descriptors;

    /// <summary>The descriptor with a full ioctl number, if any.</summary>
    /// <param name="command">A full ioctl number: anything that a program may pass.</param>
    /// <returns>The descriptor; null if the kernel answers ENOTTY.</returns>
    public static IoctlDescriptor? Find(uint command) => Array.Find(Descriptors, descriptor => descriptor.Number == command);
}
