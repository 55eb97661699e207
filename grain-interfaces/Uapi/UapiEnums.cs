namespace IommuFd.Uapi;

// The values that fields of the ABI take, with the kernel's names in the comments. Only values that the project acts on have an enum here.

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
    /// <summary>
    /// <c>IOMMU_OPTION_RLIMIT_MODE</c>: 0 accounts pinned memory to the user, 1 to the process. An option of the context; settable while it
    /// has no objects.
    /// </summary>
    RlimitMode = 0,

    /// <summary>
    /// <c>IOMMU_OPTION_HUGE_PAGES</c>: 1 lets contiguous pages be combined in IO page tables, 0 does not. An option of an IOAS.
    /// </summary>
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
    /// <summary>No flags: EINVAL, since a mapping must be readable or writeable.</summary>
    None = 0,

    /// <summary><c>IOMMU_IOAS_MAP_FIXED_IOVA</c>: map at the IOVA given instead of choosing one.</summary>
    FixedIova = 1 << 0,

    /// <summary><c>IOMMU_IOAS_MAP_WRITEABLE</c>: DMA may write.</summary>
    Writeable = 1 << 1,

    /// <summary><c>IOMMU_IOAS_MAP_READABLE</c>: DMA may read.</summary>
    Readable = 1 << 2,
}

/// <summary>What a hardware page table is allocated for (<c>enum iommufd_hwpt_alloc_flags</c>).</summary>
[Flags]
public enum IommuHwptAllocFlags : uint
{
    /// <summary>A plain page table.</summary>
    None = 0,

    /// <summary><c>IOMMU_HWPT_ALLOC_NEST_PARENT</c>: nested page tables can be allocated on it.</summary>
    NestParent = 1 << 0,

    /// <summary>
    /// <c>IOMMU_HWPT_ALLOC_DIRTY_TRACKING</c>: it can track which pages devices write. Only devices whose IOMMU tracks them can attach to
    /// it.
    /// </summary>
    DirtyTracking = 1 << 1,

    /// <summary><c>IOMMU_HWPT_FAULT_ID_VALID</c>: page faults go to the given fault queue.</summary>
    FaultIdValid = 1 << 2,

    /// <summary><c>IOMMU_HWPT_ALLOC_PASID</c>: it can be attached beside page tables of other PASIDs of the device.</summary>
    Pasid = 1 << 3,
}

/// <summary>
/// The kinds of type-specific data in <c>IOMMU_HWPT_ALLOC</c> that the service acts on (<c>enum iommu_hwpt_data_type</c>).
/// </summary>
public enum IommuHwptDataType : uint
{
    /// <summary><c>IOMMU_HWPT_DATA_NONE</c>.</summary>
    None = 0,

    /// <summary><c>IOMMU_HWPT_DATA_ARM_SMMUV3</c>: an <see cref="IommuHwptArmSmmuv3"/>.</summary>
    ArmSmmuv3 = 2,

    /// <summary><c>IOMMU_HWPT_DATA_SELFTEST</c>: a <see cref="IommuHwptSelftest"/>.</summary>
    Selftest = 0xDEAD,
}

/// <summary>What <c>IOMMU_GET_HW_INFO</c> asks for (<c>enum iommufd_hw_info_flags</c>).</summary>
[Flags]
public enum IommuHwInfoFlags : uint
{
    /// <summary>Whatever data the IOMMU has.</summary>
    None = 0,

    /// <summary><c>IOMMU_HW_INFO_FLAG_INPUT_TYPE</c>: data of the given type.</summary>
    InputType = 1 << 0,
}

/// <summary>The type of an IOMMU's hardware information (<c>enum iommu_hw_info_type</c>), as far as the service emulates it.</summary>
public enum IommuHwInfoType : uint
{
    /// <summary><c>IOMMU_HW_INFO_TYPE_DEFAULT</c> asked for, <c>IOMMU_HW_INFO_TYPE_NONE</c> answered.</summary>
    Default = 0,

    /// <summary><c>IOMMU_HW_INFO_TYPE_SELFTEST</c>: a <see cref="IommuTestHwInfo"/>.</summary>
    Selftest = 0xFEEDBEEF,
}

/// <summary>What the IOMMU in front of a device can do (<c>enum iommufd_hw_capabilities</c>).</summary>
[Flags]
public enum IommuHwCapabilities : ulong
{
    /// <summary>Nothing beyond mapping.</summary>
    None = 0,

    /// <summary><c>IOMMU_HW_CAP_DIRTY_TRACKING</c>: it can tell which pages devices have written.</summary>
    DirtyTracking = 1 << 0,

    /// <summary><c>IOMMU_HW_CAP_PCI_PASID_EXEC</c>.</summary>
    PciPasidExec = 1 << 1,

    /// <summary><c>IOMMU_HW_CAP_PCI_PASID_PRIV</c>.</summary>
    PciPasidPriv = 1 << 2,

    /// <summary><c>IOMMU_HW_CAP_PCI_ATS_NOT_SUPPORTED</c>: the device has no address translation cache.</summary>
    PciAtsNotSupported = 1 << 3,
}

/// <summary>Flags of <c>IOMMU_HWPT_SET_DIRTY_TRACKING</c> (<c>enum iommufd_hwpt_set_dirty_tracking_flags</c>).</summary>
[Flags]
public enum IommuHwptSetDirtyTrackingFlags : uint
{
    /// <summary>Stop tracking.</summary>
    None = 0,

    /// <summary><c>IOMMU_HWPT_DIRTY_TRACKING_ENABLE</c>: start tracking, with every page clean.</summary>
    Enable = 1 << 0,
}

/// <summary>Flags of <c>IOMMU_HWPT_GET_DIRTY_BITMAP</c> (<c>enum iommufd_hwpt_get_dirty_bitmap_flags</c>).</summary>
[Flags]
public enum IommuHwptGetDirtyBitmapFlags : uint
{
    /// <summary>The pages read are clean afterwards.</summary>
    None = 0,

    /// <summary><c>IOMMU_HWPT_GET_DIRTY_BITMAP_NO_CLEAR</c>: the pages read stay dirty.</summary>
    NoClear = 1 << 0,
}

/// <summary>
/// The kinds of entries in <c>IOMMU_HWPT_INVALIDATE</c> that the service acts on (<c>enum iommu_hwpt_invalidate_data_type</c>).
/// </summary>
public enum IommuHwptInvalidateDataType : uint
{
    /// <summary><c>IOMMU_VIOMMU_INVALIDATE_DATA_ARM_SMMUV3</c>: an <see cref="IommuViommuArmSmmuv3Invalidate"/>, for a vIOMMU.</summary>
    ArmSmmuv3 = 1,

    /// <summary>
    /// <c>IOMMU_HWPT_INVALIDATE_DATA_SELFTEST</c> and <c>IOMMU_VIOMMU_INVALIDATE_DATA_SELFTEST</c>: an
    /// <see cref="IommuHwptInvalidateSelftest"/> for a nested HWPT, an <see cref="IommuViommuInvalidateSelftest"/> for a vIOMMU.
    /// </summary>
    Selftest = 0xDEADBEEF,
}

/// <summary>The kinds of vIOMMU that the service emulates (<c>enum iommu_viommu_type</c>).</summary>
public enum IommuViommuType : uint
{
    /// <summary><c>IOMMU_VIOMMU_TYPE_DEFAULT</c>: reserved.</summary>
    Default = 0,

    /// <summary><c>IOMMU_VIOMMU_TYPE_ARM_SMMUV3</c>.</summary>
    ArmSmmuv3 = 1,

    /// <summary><c>IOMMU_VIOMMU_TYPE_SELFTEST</c>.</summary>
    Selftest = 0xDEADBEEF,
}

/// <summary>The kinds of event queue that the service emulates (<c>enum iommu_veventq_type</c>).</summary>
public enum IommuVeventqType : uint
{
    /// <summary><c>IOMMU_VEVENTQ_TYPE_DEFAULT</c>: reserved.</summary>
    Default = 0,

    /// <summary><c>IOMMU_VEVENTQ_TYPE_ARM_SMMUV3</c>.</summary>
    ArmSmmuv3 = 1,

    /// <summary><c>IOMMU_VEVENTQ_TYPE_SELFTEST</c>: each event is an <see cref="IommuViommuEventSelftest"/>.</summary>
    Selftest = 0xBEEFBEEF,
}

/// <summary>Flags of an event's header (<c>enum iommu_veventq_flag</c>).</summary>
[Flags]
public enum IommuVeventqFlags : uint
{
    /// <summary>An event, whose data follows.</summary>
    None = 0,

    /// <summary><c>IOMMU_VEVENTQ_FLAG_LOST_EVENTS</c>: events were lost before this header, which has no data.</summary>
    LostEvents = 1 << 0,
}

/// <summary>The kinds of hardware queue that the service emulates (<c>enum iommu_hw_queue_type</c>).</summary>
public enum IommuHwQueueType : uint
{
    /// <summary><c>IOMMU_HW_QUEUE_TYPE_DEFAULT</c>: reserved.</summary>
    Default = 0,

    /// <summary><c>IOMMU_HW_QUEUE_TYPE_SELFTEST</c>.</summary>
    Selftest = 0xDEADBEEF,
}

/// <summary>Flags of a page fault (<c>enum iommu_hwpt_pgfault_flags</c>).</summary>
[Flags]
public enum IommuPgfaultFlags : uint
{
    /// <summary>An access without PASID; more faults of the group follow.</summary>
    None = 0,

    /// <summary><c>IOMMU_PGFAULT_FLAGS_PASID_VALID</c>: the access had a PASID.</summary>
    PasidValid = 1 << 0,

    /// <summary><c>IOMMU_PGFAULT_FLAGS_LAST_PAGE</c>: the last fault of its group.</summary>
    LastPage = 1 << 1,
}

/// <summary>What a faulting access wanted (<c>enum iommu_hwpt_pgfault_perm</c>).</summary>
[Flags]
public enum IommuPgfaultPerm : uint
{
    /// <summary>Nothing.</summary>
    None = 0,

    /// <summary><c>IOMMU_PGFAULT_PERM_READ</c>.</summary>
    Read = 1 << 0,

    /// <summary><c>IOMMU_PGFAULT_PERM_WRITE</c>.</summary>
    Write = 1 << 1,

    /// <summary><c>IOMMU_PGFAULT_PERM_EXEC</c>.</summary>
    Exec = 1 << 2,

    /// <summary><c>IOMMU_PGFAULT_PERM_PRIV</c>.</summary>
    Privileged = 1 << 3,
}

/// <summary>How a group of page faults was handled (<c>enum iommufd_page_response_code</c>).</summary>
public enum IommuPageResponseCode : uint
{
    /// <summary><c>IOMMUFD_PAGE_RESP_SUCCESS</c>: the device retries the access.</summary>
    Success = 0,

    /// <summary><c>IOMMUFD_PAGE_RESP_INVALID</c>: the access can't be made.</summary>
    Invalid = 1,
}

/// <summary>Events of a file (<c>poll</c>), as the kernel numbers them.</summary>
[Flags]
public enum PollEvents : ushort
{
    /// <summary>None.</summary>
    None = 0,

    /// <summary><c>POLLIN</c>: there is something to read.</summary>
    In = 1 << 0,

    /// <summary><c>POLLPRI</c>.</summary>
    Priority = 1 << 1,

    /// <summary><c>POLLOUT</c>: the file takes writes.</summary>
    Out = 1 << 2,
}
