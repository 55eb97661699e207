using System.Runtime.InteropServices;

namespace IommuFd.Uapi;

// Arguments of the type1 interface. Their first field has another meaning than that of iommufd's structs: how many bytes there are to write to, not how many the
// caller knows. So what a command reads, it reads whatever argsz says, and refuses an argsz that is too small afterwards.

/// <summary><c>struct vfio_iommu_type1_info</c>, the argument of <c>VFIO_IOMMU_GET_INFO</c>. Capabilities follow it.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct VfioIommuType1Info
{
    /// <summary><c>argsz</c>: in: bytes of the buffer; out: bytes that the whole answer needs.</summary>
    public uint Argsz;

    /// <summary><c>flags</c>: <see cref="VfioIommuInfoFlags"/>.</summary>
    public uint Flags;

    /// <summary><c>iova_pgsizes</c>: a bit for each size of pages.</summary>
    public ulong IovaPgsizes;

    /// <summary><c>cap_offset</c>: where the first capability is; 0 where they don't all fit.</summary>
    public uint CapOffset;

    /// <summary><c>pad</c>: unused.</summary>
    public uint Pad;
}

/// <summary><c>struct vfio_iommu_type1_dma_map</c>, the argument of <c>VFIO_IOMMU_MAP_DMA</c>.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct VfioIommuType1DmaMap
{
    /// <summary><c>argsz</c>: bytes of the argument.</summary>
    public uint Argsz;

    /// <summary><c>flags</c>: <see cref="VfioDmaMapFlags"/>.</summary>
    public uint Flags;

    /// <summary><c>vaddr</c>: the caller's memory.</summary>
    public ulong Vaddr;

    /// <summary><c>iova</c>: where to map it.</summary>
    public ulong Iova;

    /// <summary><c>size</c>: bytes.</summary>
    public ulong Size;
}

/// <summary><c>struct vfio_iommu_type1_dma_unmap</c>, the argument of <c>VFIO_IOMMU_UNMAP_DMA</c>.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct VfioIommuType1DmaUnmap
{
    /// <summary><c>argsz</c>: bytes of the argument.</summary>
    public uint Argsz;

    /// <summary><c>flags</c>: <see cref="VfioDmaUnmapFlags"/>.</summary>
    public uint Flags;

    /// <summary><c>iova</c>: the first IOVA.</summary>
    public ulong Iova;

    /// <summary><c>size</c>: in: bytes; out: bytes unmapped.</summary>
    public ulong Size;
}
