namespace IommuFd.Uapi;

// The values that fields of the ABI take, with the kernel's names in the comments. Only what the project acts on has an enum here.

/// <summary>The full ioctl numbers, <c>_IO(';', nr)</c>: 0x3B00 and the command's number in the low byte.</summary>
public enum IommuCommand : uint
{
    /// <summary><c>IOMMU_DESTROY</c>.</summary>
    Destroy = 0x3B80,

    /// <summary><c>IOMMU_IOAS_ALLOC</c>.</summary>
    IoasAlloc = 0x3B81,

    /// <summary><c>IOMMU_IOAS_ALLOW_IOVAS</c>.</summary>
    IoasAllowIovas = 0x3B82,

    /// <summary><c>IOMMU_IOAS_COPY</c>.</summary>
    IoasCopy = 0x3B83,

    /// <summary><c>IOMMU_IOAS_IOVA_RANGES</c>.</summary>
    IoasIovaRanges = 0x3B84,

    /// <summary><c>IOMMU_IOAS_MAP</c>.</summary>
    IoasMap = 0x3B85,

    /// <summary><c>IOMMU_IOAS_UNMAP</c>.</summary>
    IoasUnmap = 0x3B86,

    /// <summary><c>IOMMU_OPTION</c>.</summary>
    Option = 0x3B87,

    /// <summary><c>IOMMU_VFIO_IOAS</c>.</summary>
    VfioIoas = 0x3B88,

    /// <summary><c>IOMMU_HWPT_ALLOC</c>.</summary>
    HwptAlloc = 0x3B89,

    /// <summary><c>IOMMU_GET_HW_INFO</c>.</summary>
    GetHwInfo = 0x3B8A,

    /// <summary><c>IOMMU_HWPT_SET_DIRTY_TRACKING</c>.</summary>
    HwptSetDirtyTracking = 0x3B8B,

    /// <summary><c>IOMMU_HWPT_GET_DIRTY_BITMAP</c>.</summary>
    HwptGetDirtyBitmap = 0x3B8C,

    /// <summary><c>IOMMU_HWPT_INVALIDATE</c>.</summary>
    HwptInvalidate = 0x3B8D,

    /// <summary><c>IOMMU_FAULT_QUEUE_ALLOC</c>.</summary>
    FaultQueueAlloc = 0x3B8E,

    /// <summary><c>IOMMU_IOAS_MAP_FILE</c>.</summary>
    IoasMapFile = 0x3B8F,

    /// <summary><c>IOMMU_VIOMMU_ALLOC</c>.</summary>
    ViommuAlloc = 0x3B90,

    /// <summary><c>IOMMU_VDEVICE_ALLOC</c>.</summary>
    VdeviceAlloc = 0x3B91,

    /// <summary><c>IOMMU_IOAS_CHANGE_PROCESS</c>.</summary>
    IoasChangeProcess = 0x3B92,

    /// <summary><c>IOMMU_VEVENTQ_ALLOC</c>.</summary>
    VeventqAlloc = 0x3B93,

    /// <summary><c>IOMMU_HW_QUEUE_ALLOC</c>.</summary>
    HwQueueAlloc = 0x3B94,

    /// <summary><c>IOMMU_TEST_CMD</c>.</summary>
    TestCmd = 0x3BA0,
}

/// <summary>What <c>IOMMU_OPTION</c> can act on (<c>enum iommufd_option</c>).</summary>
public enum IommuOptionId : uint
{
    /// <summary><c>IOMMU_OPTION_RLIMIT_MODE</c>: 0 accounts pinned memory to the user, 1 to the process. Of the context; settable while it has no object.</summary>
    RlimitMode = 0,

    /// <summary><c>IOMMU_OPTION_HUGE_PAGES</c>: 1 lets contiguous pages be combined in IO page tables, 0 does not. Of an IOAS.</summary>
    HugePages = 1,
}

/// <summary>What <c>IOMMU_OPTION</c> does (<c>enum iommufd_option_ops</c>).</summary>
public enum IommuOptionOp : ushort
{
    /// <summary><c>IOMMU_OPTION_OP_SET</c>.</summary>
    Set = 0,

    /// <summary><c>IOMMU_OPTION_OP_GET</c>.</summary>
    Get = 1,
}

/// <summary>What <c>IOMMU_VFIO_IOAS</c> does (<c>enum iommufd_vfio_ioas_op</c>).</summary>
public enum IommuVfioIoasOp : ushort
{
    /// <summary><c>IOMMU_VFIO_IOAS_GET</c>.</summary>
    Get = 0,

    /// <summary><c>IOMMU_VFIO_IOAS_SET</c>.</summary>
    Set = 1,

    /// <summary><c>IOMMU_VFIO_IOAS_CLEAR</c>.</summary>
    Clear = 2,
}

/// <summary>How an IOVA is mapped (<c>enum iommufd_ioas_map_flags</c>).</summary>
[Flags]
public enum IommuIoasMapFlags : uint
{
    /// <summary>No flag: refused with EINVAL, a mapping must be readable or writeable.</summary>
    None = 0,

    /// <summary><c>IOMMU_IOAS_MAP_FIXED_IOVA</c>: map at the IOVA given instead of choosing one.</summary>
    FixedIova = 1 << 0,

    /// <summary><c>IOMMU_IOAS_MAP_WRITEABLE</c>: DMA may write.</summary>
    Writeable = 1 << 1,

    /// <summary><c>IOMMU_IOAS_MAP_READABLE</c>: DMA may read.</summary>
    Readable = 1 << 2,
}

/// <summary>What <c>IOMMU_TEST_CMD</c> does (the kernel's <c>iommufd_test.h</c>). Ops that are not named here have no buffer of the caller's.</summary>
public enum IommuTestOp : uint
{
    /// <summary><c>IOMMU_TEST_OP_ADD_RESERVED</c>.</summary>
    AddReserved = 1,

    /// <summary><c>IOMMU_TEST_OP_MD_CHECK_MAP</c>.</summary>
    MdCheckMap = 3,

    /// <summary><c>IOMMU_TEST_OP_MD_CHECK_REFS</c>.</summary>
    MdCheckRefs = 4,

    /// <summary><c>IOMMU_TEST_OP_ACCESS_PAGES</c>.</summary>
    AccessPages = 7,

    /// <summary><c>IOMMU_TEST_OP_ACCESS_RW</c>.</summary>
    AccessRw = 8,

    /// <summary><c>IOMMU_TEST_OP_DIRTY</c>.</summary>
    Dirty = 13,
}
