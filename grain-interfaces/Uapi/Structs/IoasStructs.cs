using System.Runtime.InteropServices;

namespace IommuFd.Uapi;

// Arguments of the commands on IO address spaces. Layouts as in include/uapi/linux/iommufd.h of Linux 7.1; field names are the
// kernel's in .NET casing, and IoctlDescriptor reads sizes and offsets from here, so that they stand in one place.

/// <summary><c>struct iommu_ioas_alloc</c>, the argument of <c>IOMMU_IOAS_ALLOC</c>: allocates an IO address space.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct IommuIoasAlloc
{
    /// <summary><c>size</c>: bytes of this struct that the caller knows, itself included.</summary>
    public uint Size;

    /// <summary><c>flags</c>: must be 0.</summary>
    public uint Flags;

    /// <summary><c>out_ioas_id</c>: id of the new IOAS.</summary>
    public uint OutIoasId;
}

/// <summary>
/// <c>struct iommu_ioas_allow_iovas</c>, the argument of <c>IOMMU_IOAS_ALLOW_IOVAS</c>: replaces the IOVA ranges that must stay available.
/// </summary>
[StructLayout(LayoutKind.Sequential)]
public struct IommuIoasAllowIovas
{
    /// <summary><c>size</c>: bytes of this struct that the caller knows, itself included.</summary>
    public uint Size;

    /// <summary><c>ioas_id</c>: id of the IOAS.</summary>
    public uint IoasId;

    /// <summary><c>num_iovas</c>: number of ranges in the array.</summary>
    public uint NumIovas;

    /// <summary><c>__reserved</c>: must be 0.</summary>
    public uint Reserved;

    /// <summary><c>allowed_iovas</c>: address of an array of <see cref="IommuIovaRange"/>.</summary>
    public ulong AllowedIovas;
}

/// <summary>
/// <c>struct iommu_ioas_copy</c>, the argument of <c>IOMMU_IOAS_COPY</c>: maps memory that an IOAS (another or the same) already maps.
/// </summary>
[StructLayout(LayoutKind.Sequential)]
public struct IommuIoasCopy
{
    /// <summary><c>size</c>: bytes of this struct that the caller knows, itself included.</summary>
    public uint Size;

    /// <summary><c>flags</c>: combination of <see cref="IommuIoasMapFlags"/>.</summary>
    public uint Flags;

    /// <summary><c>dst_ioas_id</c>: id of the IOAS that gets the mapping.</summary>
    public uint DstIoasId;

    /// <summary><c>src_ioas_id</c>: id of the IOAS that has the mapping.</summary>
    public uint SrcIoasId;

    /// <summary><c>length</c>: bytes to copy.</summary>
    public ulong Length;

    /// <summary><c>dst_iova</c>: first IOVA in the destination: input with FIXED_IOVA, otherwise output.</summary>
    public ulong DstIova;

    /// <summary><c>src_iova</c>: first IOVA in the source.</summary>
    public ulong SrcIova;
}

/// <summary>
/// <c>struct iommu_ioas_iova_ranges</c>, the argument of <c>IOMMU_IOAS_IOVA_RANGES</c>: reads the IOVA ranges that may be mapped.
/// </summary>
[StructLayout(LayoutKind.Sequential)]
public struct IommuIoasIovaRanges
{
    /// <summary><c>size</c>: bytes of this struct that the caller knows, itself included.</summary>
    public uint Size;

    /// <summary><c>ioas_id</c>: id of the IOAS.</summary>
    public uint IoasId;

    /// <summary><c>num_iovas</c>: in: room in the array, in ranges. Out: number of ranges.</summary>
    public uint NumIovas;

    /// <summary><c>__reserved</c>: must be 0.</summary>
    public uint Reserved;

    /// <summary><c>allowed_iovas</c>: address of an array of <see cref="IommuIovaRange"/> to fill.</summary>
    public ulong AllowedIovas;

    /// <summary><c>out_iova_alignment</c>: alignment in bytes that IOVAs and lengths must have.</summary>
    public ulong OutIovaAlignment;
}

/// <summary><c>struct iommu_ioas_map</c>, the argument of <c>IOMMU_IOAS_MAP</c>: maps memory of the caller to IOVAs.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct IommuIoasMap
{
    /// <summary><c>size</c>: bytes of this struct that the caller knows, itself included.</summary>
    public uint Size;

    /// <summary><c>flags</c>: combination of <see cref="IommuIoasMapFlags"/>.</summary>
    public uint Flags;

    /// <summary><c>ioas_id</c>: id of the IOAS.</summary>
    public uint IoasId;

    /// <summary><c>__reserved</c>: must be 0.</summary>
    public uint Reserved;

    /// <summary><c>user_va</c>: address of the caller's memory.</summary>
    public ulong UserVa;

    /// <summary><c>length</c>: bytes to map.</summary>
    public ulong Length;

    /// <summary><c>iova</c>: first IOVA: input with FIXED_IOVA, otherwise output.</summary>
    public ulong Iova;
}

/// <summary><c>struct iommu_ioas_map_file</c>, the argument of <c>IOMMU_IOAS_MAP_FILE</c>: maps a part of a memfd to IOVAs.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct IommuIoasMapFile
{
    /// <summary><c>size</c>: bytes of this struct that the caller knows, itself included.</summary>
    public uint Size;

    /// <summary><c>flags</c>: combination of <see cref="IommuIoasMapFlags"/>.</summary>
    public uint Flags;

    /// <summary><c>ioas_id</c>: id of the IOAS.</summary>
    public uint IoasId;

    /// <summary><c>fd</c>: file descriptor of the memfd.</summary>
    public int Fd;

    /// <summary><c>start</c>: byte offset into the file.</summary>
    public ulong Start;

    /// <summary><c>length</c>: bytes to map.</summary>
    public ulong Length;

    /// <summary><c>iova</c>: first IOVA: input with FIXED_IOVA, otherwise output.</summary>
    public ulong Iova;
}

/// <summary><c>struct iommu_ioas_unmap</c>, the argument of <c>IOMMU_IOAS_UNMAP</c>: unmaps whole areas in an IOVA range.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct IommuIoasUnmap
{
    /// <summary><c>size</c>: bytes of this struct that the caller knows, itself included.</summary>
    public uint Size;

    /// <summary><c>ioas_id</c>: id of the IOAS.</summary>
    public uint IoasId;

    /// <summary><c>iova</c>: first IOVA.</summary>
    public ulong Iova;

    /// <summary><c>length</c>: in: bytes of the range; 2^64 - 1 together with IOVA 0 means everything. Out: bytes unmapped.</summary>
    public ulong Length;
}

/// <summary><c>struct iommu_iova_range</c>: an inclusive range of IOVAs.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct IommuIovaRange
{
    /// <summary><c>start</c>: first IOVA.</summary>
    public ulong Start;

    /// <summary><c>last</c>: last IOVA, inclusive.</summary>
    public ulong Last;
}
