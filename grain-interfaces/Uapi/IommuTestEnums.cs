namespace IommuFd.Uapi;

// The values of IOMMU_TEST_CMD, as the kernel's iommufd_test.h numbers them.

/// <summary>What <c>IOMMU_TEST_CMD</c> does.</summary>
public enum IommuTestOp : uint
{
    /// <summary><c>IOMMU_TEST_OP_ADD_RESERVED</c>: reserves IOVAs of an IOAS.</summary>
    AddReserved = 1,

    /// <summary><c>IOMMU_TEST_OP_MOCK_DOMAIN</c>: creates an emulated device, binds it and attaches it to a page table.</summary>
    MockDomain = 2,

    /// <summary><c>IOMMU_TEST_OP_MD_CHECK_MAP</c>: checks what IOVAs of a page table lead to.</summary>
    MdCheckMap = 3,

    /// <summary><c>IOMMU_TEST_OP_MD_CHECK_REFS</c>: checks how often pages are pinned.</summary>
    MdCheckRefs = 4,

    /// <summary><c>IOMMU_TEST_OP_CREATE_ACCESS</c>: creates an access to an IOAS, and a file descriptor for it.</summary>
    CreateAccess = 5,

    /// <summary><c>IOMMU_TEST_OP_DESTROY_ACCESS_PAGES</c>: unpins what an access has pinned.</summary>
    DestroyAccessPages = 6,

    /// <summary><c>IOMMU_TEST_OP_ACCESS_PAGES</c>: pins pages through an access.</summary>
    AccessPages = 7,

    /// <summary><c>IOMMU_TEST_OP_ACCESS_RW</c>: copies bytes through an access.</summary>
    AccessRw = 8,

    /// <summary><c>IOMMU_TEST_OP_SET_TEMP_MEMORY_LIMIT</c>: bounds what one step of pinning may allocate.</summary>
    SetTempMemoryLimit = 9,

    /// <summary><c>IOMMU_TEST_OP_MOCK_DOMAIN_REPLACE</c>: attaches an emulated device to another page table.</summary>
    MockDomainReplace = 10,

    /// <summary><c>IOMMU_TEST_OP_ACCESS_REPLACE_IOAS</c>: moves an access to another IOAS.</summary>
    AccessReplaceIoas = 11,

    /// <summary><c>IOMMU_TEST_OP_MOCK_DOMAIN_FLAGS</c>: like MOCK_DOMAIN, for a device with flags.</summary>
    MockDomainFlags = 12,

    /// <summary><c>IOMMU_TEST_OP_DIRTY</c>: marks pages dirty, as a device's writes do.</summary>
    Dirty = 13,

    /// <summary><c>IOMMU_TEST_OP_MD_CHECK_IOTLB</c>: checks an entry of a nested page table's cache.</summary>
    MdCheckIotlb = 14,

    /// <summary><c>IOMMU_TEST_OP_TRIGGER_IOPF</c>: has a device report a page fault.</summary>
    TriggerIopf = 15,

    /// <summary><c>IOMMU_TEST_OP_DEV_CHECK_CACHE</c>: checks an entry of a device's cache.</summary>
    DevCheckCache = 16,

    /// <summary><c>IOMMU_TEST_OP_TRIGGER_VEVENT</c>: has a device report an event to its vIOMMU.</summary>
    TriggerVevent = 17,

    /// <summary><c>IOMMU_TEST_OP_PASID_ATTACH</c>: attaches a PASID of a device to a page table.</summary>
    PasidAttach = 18,

    /// <summary><c>IOMMU_TEST_OP_PASID_REPLACE</c>: moves a PASID of a device to another page table.</summary>
    PasidReplace = 19,

    /// <summary><c>IOMMU_TEST_OP_PASID_DETACH</c>: detaches a PASID of a device.</summary>
    PasidDetach = 20,

    /// <summary><c>IOMMU_TEST_OP_PASID_CHECK_HWPT</c>: checks which page table a PASID of a device is attached to.</summary>
    PasidCheckHwpt = 21,

    /// <summary><c>IOMMU_TEST_OP_DMABUF_GET</c>: makes a dma-buf, whose descriptor is the return value.</summary>
    DmabufGet = 22,

    /// <summary><c>IOMMU_TEST_OP_DMABUF_REVOKE</c>: revokes such a dma-buf, or restores it.</summary>
    DmabufRevoke = 23,
}

/// <summary>Flags of an entry that invalidates caches of the selftest's IOMMU.</summary>
[Flags]
public enum IommuTestInvalidateFlags : uint
{
    /// <summary>The entry that is named.</summary>
    None = 0,

    /// <summary><c>IOMMU_TEST_INVALIDATE_FLAG_ALL</c>: every entry; the one that is named does not matter.</summary>
    All = 1 << 0,
}

/// <summary>What an emulated device can or can't do (<c>MOCK_FLAGS_DEVICE_*</c>).</summary>
[Flags]
public enum IommuTestDeviceFlags : uint
{
    /// <summary>It tracks dirty pages, and has no PASIDs.</summary>
    None = 0,

    /// <summary><c>MOCK_FLAGS_DEVICE_NO_DIRTY</c>: its IOMMU does not track dirty pages.</summary>
    NoDirty = 1 << 0,

    /// <summary><c>MOCK_FLAGS_DEVICE_PASID</c>: it has PASIDs, 20 bits wide.</summary>
    Pasid = 1 << 2,
}

/// <summary>Flags of <see cref="IommuTestOp.CreateAccess"/>.</summary>
[Flags]
public enum IommuTestCreateAccessFlags : uint
{
    /// <summary>The access copies bytes only.</summary>
    None = 0,

    /// <summary><c>MOCK_FLAGS_ACCESS_CREATE_NEEDS_PIN_PAGES</c>: it pins pages, so that IOVAs must be aligned to pages.</summary>
    NeedsPinPages = 1 << 0,
}

/// <summary>
/// Flags of <see cref="IommuTestOp.AccessPages"/> and <see cref="IommuTestOp.AccessRw"/> (<c>MOCK_FLAGS_ACCESS_*</c>,
/// <c>MOCK_ACCESS_RW_*</c>).
/// </summary>
[Flags]
public enum IommuTestAccessFlags : uint
{
    /// <summary>Reads.</summary>
    None = 0,

    /// <summary><c>MOCK_FLAGS_ACCESS_WRITE</c>: writes.</summary>
    Write = 1 << 0,

    /// <summary><c>MOCK_ACCESS_RW_SLOW_PATH</c>: page by page, for copies only, with no observable difference.</summary>
    SlowPath = 1 << 2,

    /// <summary><c>MOCK_FLAGS_ACCESS_SYZ</c>: the IOVA is the number of an area (low half) and an offset in it (high half).</summary>
    Syz = 1 << 16,
}
