using System.Runtime.InteropServices;

namespace IommuFd.Uapi;

// Arguments of the commands on devices and hardware page tables. Layouts as in include/uapi/linux/iommufd.h of Linux 7.1; field names are
// the kernel's in .NET casing, and IoctlDescriptor reads sizes and offsets from here, so that they stand in one place.

/// <summary><c>struct iommu_hwpt_alloc</c>, the argument of <c>IOMMU_HWPT_ALLOC</c>: allocates a hardware page table.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct IommuHwptAlloc
{
    /// <summary><c>size</c>: bytes of this struct that the caller knows, itself included.</summary>
    public uint Size;

    /// <summary><c>flags</c>: combination of the kernel's <c>iommufd_hwpt_alloc_flags</c>.</summary>
    public uint Flags;

    /// <summary><c>dev_id</c>: id of the device it is for.</summary>
    public uint DevId;

    /// <summary><c>pt_id</c>: id of the IOAS, parent HWPT or vIOMMU under it.</summary>
    public uint PtId;

    /// <summary><c>out_hwpt_id</c>: id of the new HWPT.</summary>
    public uint OutHwptId;

    /// <summary><c>__reserved</c>: must be 0.</summary>
    public uint Reserved;

    /// <summary><c>data_type</c>: kind of the type-specific data; 0 for none.</summary>
    public uint DataType;

    /// <summary><c>data_len</c>: bytes of the type-specific data.</summary>
    public uint DataLen;

    /// <summary><c>data_uptr</c>: address of the type-specific data.</summary>
    public ulong DataUptr;

    /// <summary><c>fault_id</c>: id of a fault queue, if the flag FAULT_ID_VALID is set.</summary>
    public uint FaultId;

    /// <summary><c>__reserved2</c>: must be 0.</summary>
    public uint Reserved2;
}

/// <summary>
/// <c>struct iommu_hw_info</c>, the argument of <c>IOMMU_GET_HW_INFO</c>: reads what the IOMMU in front of a device can do.
/// </summary>
[StructLayout(LayoutKind.Sequential)]
public struct IommuHwInfo
{
    /// <summary><c>size</c>: bytes of this struct that the caller knows, itself included.</summary>
    public uint Size;

    /// <summary><c>flags</c>: 0, or 1 (IOMMU_HW_INFO_FLAG_INPUT_TYPE) to ask for a data type.</summary>
    public uint Flags;

    /// <summary><c>dev_id</c>: id of the device.</summary>
    public uint DevId;

    /// <summary><c>data_len</c>: in: bytes of the buffer. Out: bytes that the kernel has.</summary>
    public uint DataLen;

    /// <summary><c>data_uptr</c>: address of the buffer for the type-specific data.</summary>
    public ulong DataUptr;

    /// <summary><c>out_data_type</c>: in (with the flag) and out: kind of the data.</summary>
    public uint OutDataType;

    /// <summary><c>out_max_pasid_log2</c>: width of PASIDs in bits; 0 without PASID support.</summary>
    public byte OutMaxPasidLog2;

    /// <summary><c>__reserved0</c>: must be 0.</summary>
    public byte Reserved0;

    /// <summary><c>__reserved1</c>: must be 0.</summary>
    public byte Reserved1;

    /// <summary><c>__reserved2</c>: must be 0.</summary>
    public byte Reserved2;

    /// <summary><c>out_capabilities</c>: bits of the kernel's <c>iommufd_hw_capabilities</c>.</summary>
    public ulong OutCapabilities;
}

/// <summary>
/// <c>struct iommu_hwpt_set_dirty_tracking</c>, the argument of <c>IOMMU_HWPT_SET_DIRTY_TRACKING</c>: switches a HWPT's dirty tracking on or off.
/// </summary>
[StructLayout(LayoutKind.Sequential)]
public struct IommuHwptSetDirtyTracking
{
    /// <summary><c>size</c>: bytes of this struct that the caller knows, itself included.</summary>
    public uint Size;

    /// <summary><c>flags</c>: 1 to enable, 0 to disable.</summary>
    public uint Flags;

    /// <summary><c>hwpt_id</c>: id of the HWPT.</summary>
    public uint HwptId;

    /// <summary><c>__reserved</c>: must be 0.</summary>
    public uint Reserved;
}

/// <summary>
/// <c>struct iommu_hwpt_get_dirty_bitmap</c>, the argument of <c>IOMMU_HWPT_GET_DIRTY_BITMAP</c>: reads, and by default clears, the dirty
/// bits of an IOVA range.
/// </summary>
[StructLayout(LayoutKind.Sequential)]
public struct IommuHwptGetDirtyBitmap
{
    /// <summary><c>size</c>: bytes of this struct that the caller knows, itself included.</summary>
    public uint Size;

    /// <summary><c>hwpt_id</c>: id of the HWPT.</summary>
    public uint HwptId;

    /// <summary><c>flags</c>: 1 to leave the dirty bits as they are.</summary>
    public uint Flags;

    /// <summary><c>__reserved</c>: must be 0.</summary>
    public uint Reserved;

    /// <summary><c>iova</c>: first IOVA of the range.</summary>
    public ulong Iova;

    /// <summary><c>length</c>: bytes of the range.</summary>
    public ulong Length;

    /// <summary><c>page_size</c>: bytes that one bit stands for.</summary>
    public ulong PageSize;

    /// <summary><c>data</c>: address of the bitmap.</summary>
    public ulong Data;
}

/// <summary>
/// <c>struct iommu_hwpt_invalidate</c>, the argument of <c>IOMMU_HWPT_INVALIDATE</c>: invalidates caches of a nested HWPT or of a vIOMMU.
/// </summary>
[StructLayout(LayoutKind.Sequential)]
public struct IommuHwptInvalidate
{
    /// <summary><c>size</c>: bytes of this struct that the caller knows, itself included.</summary>
    public uint Size;

    /// <summary><c>hwpt_id</c>: id of the nested HWPT or vIOMMU.</summary>
    public uint HwptId;

    /// <summary><c>data_uptr</c>: address of the array of requests.</summary>
    public ulong DataUptr;

    /// <summary><c>data_type</c>: kind of every entry.</summary>
    public uint DataType;

    /// <summary><c>entry_len</c>: bytes of one entry.</summary>
    public uint EntryLen;

    /// <summary><c>entry_num</c>: in: entries in the array. Out: entries handled.</summary>
    public uint EntryNum;

    /// <summary><c>__reserved</c>: must be 0.</summary>
    public uint Reserved;
}
