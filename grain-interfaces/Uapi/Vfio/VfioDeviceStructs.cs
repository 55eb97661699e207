using System.Runtime.InteropServices;

namespace IommuFd.Uapi;

// Arguments of a device file's ioctls. argsz says how many bytes the caller has, as for the type1 interface.

/// <summary><c>struct vfio_device_info</c>.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct VfioDeviceInfo
{
    /// <summary><c>argsz</c>.</summary>
    public uint Argsz;

    /// <summary><c>flags</c>: <see cref="VfioDeviceFlags"/>.</summary>
    public uint Flags;

    /// <summary><c>num_regions</c>.</summary>
    public uint NumRegions;

    /// <summary><c>num_irqs</c>.</summary>
    public uint NumIrqs;

    /// <summary><c>cap_offset</c>: where capabilities are; 0 for none. Older programs have no such field.</summary>
    public uint CapOffset;

    /// <summary><c>pad</c>.</summary>
    public uint Pad;
}

/// <summary><c>struct vfio_region_info</c>. Capabilities follow it.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct VfioRegionInfo
{
    /// <summary><c>argsz</c>: in: bytes of the buffer; out: bytes that the whole answer needs, where it does not fit.</summary>
    public uint Argsz;

    /// <summary><c>flags</c>: <see cref="VfioRegionFlags"/>.</summary>
    public uint Flags;

    /// <summary><c>index</c>: <see cref="VfioPciRegion"/>.</summary>
    public uint Index;

    /// <summary><c>cap_offset</c>: where the first capability is; 0 where they don't fit.</summary>
    public uint CapOffset;

    /// <summary><c>size</c>: bytes of the region.</summary>
    public ulong Size;

    /// <summary><c>offset</c>: where the region begins in the file.</summary>
    public ulong Offset;
}

/// <summary><c>struct vfio_info_cap_header</c>.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct VfioInfoCapHeader
{
    /// <summary><c>id</c>: <see cref="VfioRegionCapability"/>.</summary>
    public ushort Id;

    /// <summary><c>version</c>.</summary>
    public ushort Version;

    /// <summary><c>next</c>: the offset of the next capability from the struct's start; 0 for none.</summary>
    public uint Next;
}

/// <summary><c>struct vfio_region_info_cap_sparse_mmap</c>. Its areas follow it.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct VfioRegionInfoCapSparseMmap
{
    /// <summary><c>header</c>.</summary>
    public VfioInfoCapHeader Header;

    /// <summary><c>nr_areas</c>.</summary>
    public uint NrAreas;

    /// <summary><c>reserved</c>.</summary>
    public uint Reserved;
}

/// <summary><c>struct vfio_region_sparse_mmap_area</c>.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct VfioRegionSparseMmapArea
{
    /// <summary><c>offset</c>: from the region's start.</summary>
    public ulong Offset;

    /// <summary><c>size</c>: bytes.</summary>
    public ulong Size;
}

/// <summary><c>struct vfio_irq_info</c>.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct VfioIrqInfo
{
    /// <summary><c>argsz</c>.</summary>
    public uint Argsz;

    /// <summary><c>flags</c>: <see cref="VfioIrqInfoFlags"/>.</summary>
    public uint Flags;

    /// <summary><c>index</c>: <see cref="VfioPciIrq"/>.</summary>
    public uint Index;

    /// <summary><c>count</c>: how many interrupts of the kind there are.</summary>
    public uint Count;
}

/// <summary><c>struct vfio_irq_set</c>. Its data follow it.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct VfioIrqSet
{
    /// <summary><c>argsz</c>.</summary>
    public uint Argsz;

    /// <summary><c>flags</c>: <see cref="VfioIrqSetFlags"/>.</summary>
    public uint Flags;

    /// <summary><c>index</c>: <see cref="VfioPciIrq"/>.</summary>
    public uint Index;

    /// <summary><c>start</c>: the first interrupt.</summary>
    public uint Start;

    /// <summary><c>count</c>: how many.</summary>
    public uint Count;
}

/// <summary><c>struct vfio_pci_hot_reset_info</c>. The devices follow it.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct VfioPciHotResetInfo
{
    /// <summary><c>argsz</c>.</summary>
    public uint Argsz;

    /// <summary><c>flags</c>: <see cref="VfioHotResetFlags"/>.</summary>
    public uint Flags;

    /// <summary><c>count</c>: how many devices a hot reset affects.</summary>
    public uint Count;
}

/// <summary><c>struct vfio_pci_dependent_device</c>.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct VfioPciDependentDevice
{
    /// <summary><c>devid</c>: the id in the context; 0 for a device that the context owns and that has none, -1 for one that it does not own.</summary>
    public uint DevId;

    /// <summary><c>segment</c>.</summary>
    public ushort Segment;

    /// <summary><c>bus</c>.</summary>
    public byte Bus;

    /// <summary><c>devfn</c>: the slot in bits 3 to 7, the function in bits 0 to 2.</summary>
    public byte DevFn;
}

/// <summary><c>struct vfio_device_feature</c>. The feature's data follow it.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct VfioDeviceFeature
{
    /// <summary><c>argsz</c>.</summary>
    public uint Argsz;

    /// <summary><c>flags</c>: <see cref="VfioFeatureFlags"/>.</summary>
    public uint Flags;
}

/// <summary><c>struct vfio_device_feature_dma_buf</c>. It follows <see cref="VfioDeviceFeature"/>, and its ranges follow it.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct VfioDeviceFeatureDmaBuf
{
    /// <summary><c>region_index</c>: the BAR.</summary>
    public uint RegionIndex;

    /// <summary><c>open_flags</c>: those of the descriptor.</summary>
    public uint OpenFlags;

    /// <summary><c>flags</c>: 0.</summary>
    public uint Flags;

    /// <summary><c>nr_ranges</c>: how many ranges follow. Contexts can map a dma-buf of one range only.</summary>
    public uint NrRanges;
}

/// <summary><c>struct vfio_region_dma_range</c>: a part of a BAR, in whole pages.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct VfioRegionDmaRange
{
    /// <summary><c>offset</c>: the first byte.</summary>
    public ulong Offset;

    /// <summary><c>length</c>: bytes.</summary>
    public ulong Length;
}

/// <summary><c>struct vfio_device_bind_iommufd</c>. Older programs have the first 16 bytes only.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct VfioDeviceBindIommufd
{
    /// <summary><c>argsz</c>.</summary>
    public uint Argsz;

    /// <summary><c>flags</c>: <see cref="VfioBindFlags"/>.</summary>
    public uint Flags;

    /// <summary><c>iommufd</c>: the descriptor of the context.</summary>
    public int Iommufd;

    /// <summary><c>out_devid</c>: the device's id in the context.</summary>
    public uint OutDevId;

    /// <summary><c>token_uuid_ptr</c>.</summary>
    public ulong TokenUuidPtr;
}

/// <summary><c>struct vfio_device_attach_iommufd_pt</c>. Older programs have the first 12 bytes only.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct VfioDeviceAttachIommufdPt
{
    /// <summary><c>argsz</c>.</summary>
    public uint Argsz;

    /// <summary><c>flags</c>: <see cref="VfioAttachFlags"/>.</summary>
    public uint Flags;

    /// <summary><c>pt_id</c>: in: an IOAS or a HWPT; out: the HWPT.</summary>
    public uint PtId;

    /// <summary><c>pasid</c>.</summary>
    public uint Pasid;
}

/// <summary><c>struct vfio_device_detach_iommufd_pt</c>. Older programs have the first 8 bytes only.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct VfioDeviceDetachIommufdPt
{
    /// <summary><c>argsz</c>.</summary>
    public uint Argsz;

    /// <summary><c>flags</c>: <see cref="VfioAttachFlags"/>.</summary>
    public uint Flags;

    /// <summary><c>pasid</c>.</summary>
    public uint Pasid;
}
