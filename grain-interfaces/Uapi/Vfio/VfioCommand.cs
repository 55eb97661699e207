namespace IommuFd.Uapi;

// The type1 interface of Linux's older VFIO, which /dev/iommu answers too. Numbers, structs and values as in include/uapi/linux/vfio.h.

/// <summary>The full ioctl numbers of the type1 interface, <c>_IO(';', 100 + nr)</c>.</summary>
public enum VfioCommand : uint
{
    /// <summary><c>VFIO_GET_API_VERSION</c>.</summary>
    GetApiVersion = 0x3B64,

    /// <summary><c>VFIO_CHECK_EXTENSION</c>.</summary>
    CheckExtension = 0x3B65,

    /// <summary><c>VFIO_SET_IOMMU</c>.</summary>
    SetIommu = 0x3B66,

    /// <summary><c>VFIO_IOMMU_GET_INFO</c>.</summary>
    IommuGetInfo = 0x3B70,

    /// <summary><c>VFIO_IOMMU_MAP_DMA</c>.</summary>
    IommuMapDma = 0x3B71,

    /// <summary><c>VFIO_IOMMU_UNMAP_DMA</c>.</summary>
    IommuUnmapDma = 0x3B72,
}

/// <summary>Extensions and kinds of IOMMU that programs ask for: the integer of <c>VFIO_CHECK_EXTENSION</c> and <c>VFIO_SET_IOMMU</c>.</summary>
public enum VfioExtension : ulong
{
    /// <summary><c>VFIO_TYPE1_IOMMU</c>: an unmap may cut what was mapped at once.</summary>
    Type1 = 1,

    /// <summary><c>VFIO_TYPE1v2_IOMMU</c>.</summary>
    Type1V2 = 3,

    /// <summary><c>VFIO_DMA_CC_IOMMU</c>: whether DMA is always coherent with caches.</summary>
    DmaCacheCoherent = 4,

    /// <summary><c>VFIO_UNMAP_ALL</c>.</summary>
    UnmapAll = 9,
}

/// <summary>Flags of <c>VFIO_IOMMU_MAP_DMA</c>.</summary>
[Flags]
public enum VfioDmaMapFlags : uint
{
    /// <summary>Neither.</summary>
    None = 0,

    /// <summary><c>VFIO_DMA_MAP_FLAG_READ</c>: DMA may read.</summary>
    Read = 1 << 0,

    /// <summary><c>VFIO_DMA_MAP_FLAG_WRITE</c>: DMA may write.</summary>
    Write = 1 << 1,
}

/// <summary>Flags of <c>VFIO_IOMMU_UNMAP_DMA</c>.</summary>
[Flags]
public enum VfioDmaUnmapFlags : uint
{
    /// <summary>A range.</summary>
    None = 0,

    /// <summary><c>VFIO_DMA_UNMAP_FLAG_ALL</c>: everything.</summary>
    All = 1 << 1,
}

/// <summary>Flags of <c>VFIO_IOMMU_GET_INFO</c>.</summary>
[Flags]
public enum VfioIommuInfoFlags : uint
{
    /// <summary>Nothing is reported.</summary>
    None = 0,

    /// <summary><c>VFIO_IOMMU_INFO_PGSIZES</c>: the sizes of pages are.</summary>
    PageSizes = 1 << 0,

    /// <summary><c>VFIO_IOMMU_INFO_CAPS</c>: capabilities are.</summary>
    Capabilities = 1 << 1,
}
