using System.Runtime.InteropServices;

namespace IommuFd.Uapi;

// What the union of IOMMU_TEST_CMD means to each op, and the selftest's own data. Layouts as in the kernel's iommufd_test.h.

/// <summary>The fields of <see cref="IommuTestOp.AddReserved"/>. <c>id</c> is the IOAS.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct IommuTestAddReserved
{
    /// <summary><c>start</c>: the first IOVA.</summary>
    public ulong Start;

    /// <summary><c>length</c>: bytes.</summary>
    public ulong Length;
}

/// <summary>
/// The fields of <see cref="IommuTestOp.MockDomain"/> and <see cref="IommuTestOp.MockDomainFlags"/>. <c>id</c> is the IOAS or HWPT to
/// attach to.
/// </summary>
[StructLayout(LayoutKind.Sequential)]
public struct IommuTestMockDomain
{
    /// <summary><c>out_stdev_id</c>: the selftest object that owns the emulated device.</summary>
    public uint OutStdevId;

    /// <summary><c>out_hwpt_id</c>: the HWPT that the device is attached to.</summary>
    public uint OutHwptId;

    /// <summary><c>out_idev_id</c>: the bound device.</summary>
    public uint OutIdevId;

    /// <summary><c>dev_flags</c>: combination of <see cref="IommuTestDeviceFlags"/>; only for MOCK_DOMAIN_FLAGS.</summary>
    public uint DevFlags;
}

/// <summary>The fields of <see cref="IommuTestOp.MockDomainReplace"/>. <c>id</c> is the selftest object.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct IommuTestMockDomainReplace
{
    /// <summary><c>pt_id</c>: in: the IOAS or HWPT to attach to. Out: the HWPT.</summary>
    public uint PtId;
}

/// <summary>The fields of <see cref="IommuTestOp.MdCheckMap"/>. <c>id</c> is the HWPT.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct IommuTestCheckMap
{
    /// <summary><c>iova</c>: the first IOVA.</summary>
    public ulong Iova;

    /// <summary><c>length</c>: bytes.</summary>
    public ulong Length;

    /// <summary><c>uptr</c>: the memory that should be behind them.</summary>
    public ulong Uptr;
}

/// <summary>The fields of <see cref="IommuTestOp.MdCheckRefs"/>.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct IommuTestCheckRefs
{
    /// <summary><c>length</c>: bytes.</summary>
    public ulong Length;

    /// <summary><c>uptr</c>: the first page.</summary>
    public ulong Uptr;

    /// <summary><c>refs</c>: how often each page should be pinned.</summary>
    public uint Refs;
}

/// <summary>The fields of <see cref="IommuTestOp.CreateAccess"/>. <c>id</c> is the IOAS.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct IommuTestCreateAccess
{
    /// <summary><c>out_access_fd</c>: the file descriptor of the access.</summary>
    public uint OutAccessFd;

    /// <summary><c>flags</c>: combination of <see cref="IommuTestCreateAccessFlags"/>.</summary>
    public uint Flags;
}

/// <summary>The fields of <see cref="IommuTestOp.DestroyAccessPages"/>. <c>id</c> is the access's file descriptor.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct IommuTestDestroyAccessPages
{
    /// <summary><c>access_pages_id</c>: the pin.</summary>
    public uint AccessPagesId;
}

/// <summary>The fields of <see cref="IommuTestOp.AccessPages"/>. <c>id</c> is the access's file descriptor.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct IommuTestAccessPages
{
    /// <summary><c>flags</c>: combination of <see cref="IommuTestAccessFlags"/>.</summary>
    public uint Flags;

    /// <summary><c>out_access_pages_id</c>: the pin.</summary>
    public uint OutAccessPagesId;

    /// <summary><c>iova</c>: the first IOVA.</summary>
    public ulong Iova;

    /// <summary><c>length</c>: bytes.</summary>
    public ulong Length;

    /// <summary><c>uptr</c>: the memory that should be behind the IOVA; 0 checks nothing.</summary>
    public ulong Uptr;
}

/// <summary>The fields of <see cref="IommuTestOp.AccessRw"/>. <c>id</c> is the access's file descriptor.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct IommuTestAccessRw
{
    /// <summary><c>iova</c>: the first IOVA.</summary>
    public ulong Iova;

    /// <summary><c>length</c>: bytes.</summary>
    public ulong Length;

    /// <summary><c>uptr</c>: the buffer.</summary>
    public ulong Uptr;

    /// <summary><c>flags</c>: combination of <see cref="IommuTestAccessFlags"/>.</summary>
    public uint Flags;
}

/// <summary>The fields of <see cref="IommuTestOp.SetTempMemoryLimit"/>.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct IommuTestMemoryLimit
{
    /// <summary><c>limit</c>: bytes.</summary>
    public uint Limit;
}

/// <summary>The fields of <see cref="IommuTestOp.AccessReplaceIoas"/>. <c>id</c> is the access's file descriptor.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct IommuTestAccessReplaceIoas
{
    /// <summary><c>ioas_id</c>: the IOAS to move to.</summary>
    public uint IoasId;
}

/// <summary>The fields of <see cref="IommuTestOp.Dirty"/>. <c>id</c> is the HWPT.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct IommuTestDirty
{
    /// <summary><c>flags</c>: unused.</summary>
    public uint Flags;

    /// <summary><c>iova</c>: the first IOVA.</summary>
    public ulong Iova;

    /// <summary><c>length</c>: bytes.</summary>
    public ulong Length;

    /// <summary><c>page_size</c>: bytes that one bit stands for.</summary>
    public ulong PageSize;

    /// <summary><c>uptr</c>: the bitmap.</summary>
    public ulong Uptr;

    /// <summary><c>out_nr_dirty</c>: number of bits set.</summary>
    public ulong OutNrDirty;
}

/// <summary>The fields of <see cref="IommuTestOp.DevCheckCache"/>. The header's <c>id</c> is the device.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct IommuTestCheckDevCache
{
    /// <summary><c>id</c>: the entry, 0 to 3.</summary>
    public uint Id;

    /// <summary><c>cache</c>: its expected value.</summary>
    public uint Cache;
}

/// <summary>The fields of <see cref="IommuTestOp.MdCheckIotlb"/>. The header's <c>id</c> is the nested HWPT.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct IommuTestCheckIotlb
{
    /// <summary><c>id</c>: the entry, 0 to 3.</summary>
    public uint Id;

    /// <summary><c>iotlb</c>: its expected value.</summary>
    public uint Iotlb;
}

/// <summary>The fields of <see cref="IommuTestOp.TriggerIopf"/>.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct IommuTestTriggerIopf
{
    /// <summary><c>dev_id</c>: the device.</summary>
    public uint DevId;

    /// <summary><c>pasid</c>: the PASID of the access; 0 for none.</summary>
    public uint Pasid;

    /// <summary><c>grpid</c>: the group that the fault belongs to.</summary>
    public uint Grpid;

    /// <summary><c>perm</c>: combination of <see cref="IommuPgfaultPerm"/>.</summary>
    public uint Perm;

    /// <summary><c>addr</c>: the address that was accessed.</summary>
    public ulong Addr;
}

/// <summary>The fields of <see cref="IommuTestOp.TriggerVevent"/>.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct IommuTestTriggerVevent
{
    /// <summary><c>dev_id</c>: the device.</summary>
    public uint DevId;
}

/// <summary>
/// The fields of <see cref="IommuTestOp.PasidAttach"/> and <see cref="IommuTestOp.PasidReplace"/>. <c>id</c> is the selftest object.
/// </summary>
[StructLayout(LayoutKind.Sequential)]
public struct IommuTestPasidAttach
{
    /// <summary><c>pasid</c>: the PASID; 0 for the device itself.</summary>
    public uint Pasid;

    /// <summary><c>pt_id</c>: in: the IOAS or HWPT to attach to. Out: the HWPT.</summary>
    public uint PtId;
}

/// <summary>The fields of <see cref="IommuTestOp.PasidDetach"/>. <c>id</c> is the selftest object.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct IommuTestPasidDetach
{
    /// <summary><c>pasid</c>: the PASID; 0 for the device itself.</summary>
    public uint Pasid;
}

/// <summary>The fields of <see cref="IommuTestOp.PasidCheckHwpt"/>. <c>id</c> is the selftest object.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct IommuTestPasidCheck
{
    /// <summary><c>pasid</c>: the PASID; 0 for the device itself.</summary>
    public uint Pasid;

    /// <summary><c>hwpt_id</c>: the HWPT that it should be attached to; 0 for none.</summary>
    public uint HwptId;
}

/// <summary>The fields of <see cref="IommuTestOp.DmabufGet"/>.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct IommuTestDmabufGet
{
    /// <summary><c>length</c>: bytes, rounded up to whole pages; at most 512 pages.</summary>
    public uint Length;

    /// <summary><c>open_flags</c>: O_CLOEXEC, or 0.</summary>
    public uint OpenFlags;
}

/// <summary>The fields of <see cref="IommuTestOp.DmabufRevoke"/>.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct IommuTestDmabufRevoke
{
    /// <summary><c>dmabuf_fd</c>: the dma-buf.</summary>
    public int DmabufFd;

    /// <summary><c>revoked</c>: 0 restores it; any other number revokes it.</summary>
    public uint Revoked;
}

/// <summary><c>struct iommu_test_hw_info</c>: what the selftest's IOMMU reports about itself.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct IommuTestHwInfo
{
    /// <summary><c>flags</c>: 0.</summary>
    public uint Flags;

    /// <summary><c>test_reg</c>: <c>IOMMU_HW_INFO_SELFTEST_REGVAL</c>, 0xDEADBEEF.</summary>
    public uint TestReg;
}

/// <summary><c>struct iommu_hwpt_selftest</c>: the data of a HWPT of the selftest's IOMMU.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct IommuHwptSelftest
{
    /// <summary><c>iotlb</c>: the initial value of a nested page table's cache.</summary>
    public uint Iotlb;

    /// <summary><c>pagetable_type</c>: 0 for the default format.</summary>
    public uint PagetableType;
}

/// <summary><c>struct iommu_hwpt_invalidate_selftest</c>: an entry that invalidates the cache of a nested HWPT of the selftest's IOMMU.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct IommuHwptInvalidateSelftest
{
    /// <summary><c>flags</c>: combination of <see cref="IommuTestInvalidateFlags"/>.</summary>
    public uint Flags;

    /// <summary><c>iotlb_id</c>: the entry, 0 to 3.</summary>
    public uint IotlbId;
}

/// <summary><c>struct iommu_viommu_selftest</c>: the data of a vIOMMU of the selftest's IOMMU.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct IommuViommuSelftest
{
    /// <summary><c>in_data</c>: any value.</summary>
    public uint InData;

    /// <summary><c>out_data</c>: the same value.</summary>
    public uint OutData;

    /// <summary><c>out_mmap_offset</c>: the offset at which the vIOMMU's pages can be mapped.</summary>
    public ulong OutMmapOffset;

    /// <summary><c>out_mmap_length</c>: bytes that can be mapped there.</summary>
    public ulong OutMmapLength;
}

/// <summary><c>struct iommu_viommu_invalidate_selftest</c>: an entry that invalidates the cache of a device behind a vIOMMU of the selftest's IOMMU.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct IommuViommuInvalidateSelftest
{
    /// <summary><c>flags</c>: combination of <see cref="IommuTestInvalidateFlags"/>.</summary>
    public uint Flags;

    /// <summary><c>vdev_id</c>: the device's id on the vIOMMU.</summary>
    public uint VdevId;

    /// <summary><c>cache_id</c>: the entry, 0 to 3.</summary>
    public uint CacheId;
}

/// <summary><c>struct iommu_viommu_event_selftest</c>: an event of the selftest's IOMMU.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct IommuViommuEventSelftest
{
    /// <summary><c>virt_id</c>: the device's id on the vIOMMU.</summary>
    public uint VirtId;
}
