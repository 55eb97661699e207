using System.Runtime.InteropServices;

namespace IommuFd.Uapi;

// Arguments of the commands on fault queues and virtual IOMMUs. Layouts as in include/uapi/linux/iommufd.h of Linux 7.1; field names are
// the kernel's in .NET casing, and IoctlDescriptor reads sizes and offsets from here, so that they stand in one place.

/// <summary><c>struct iommu_fault_alloc</c>, the argument of <c>IOMMU_FAULT_QUEUE_ALLOC</c>: allocates a queue of page faults.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct IommuFaultAlloc
{
    /// <summary><c>size</c>: bytes of this struct that the caller knows, itself included.</summary>
    public uint Size;

    /// <summary><c>flags</c>: must be 0.</summary>
    public uint Flags;

    /// <summary><c>out_fault_id</c>: id of the new fault queue.</summary>
    public uint OutFaultId;

    /// <summary><c>out_fault_fd</c>: file descriptor to read faults from.</summary>
    public uint OutFaultFd;
}

/// <summary><c>struct iommu_viommu_alloc</c>, the argument of <c>IOMMU_VIOMMU_ALLOC</c>: allocates a virtual IOMMU.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct IommuViommuAlloc
{
    /// <summary><c>size</c>: bytes of this struct that the caller knows, itself included.</summary>
    public uint Size;

    /// <summary><c>flags</c>: must be 0.</summary>
    public uint Flags;

    /// <summary><c>type</c>: kind of the virtual IOMMU.</summary>
    public uint Type;

    /// <summary><c>dev_id</c>: id of a device behind the physical IOMMU.</summary>
    public uint DevId;

    /// <summary><c>hwpt_id</c>: id of the nesting parent HWPT.</summary>
    public uint HwptId;

    /// <summary><c>out_viommu_id</c>: id of the new vIOMMU.</summary>
    public uint OutViommuId;

    /// <summary><c>data_len</c>: bytes of the type-specific data.</summary>
    public uint DataLen;

    /// <summary><c>__reserved</c>: must be 0.</summary>
    public uint Reserved;

    /// <summary><c>data_uptr</c>: address of the type-specific data.</summary>
    public ulong DataUptr;
}

/// <summary>
/// <c>struct iommu_vdevice_alloc</c>, the argument of <c>IOMMU_VDEVICE_ALLOC</c>: allocates the virtual instance of a device on a vIOMMU.
/// </summary>
[StructLayout(LayoutKind.Sequential)]
public struct IommuVdeviceAlloc
{
    /// <summary><c>size</c>: bytes of this struct that the caller knows, itself included.</summary>
    public uint Size;

    /// <summary><c>viommu_id</c>: id of the vIOMMU.</summary>
    public uint ViommuId;

    /// <summary><c>dev_id</c>: id of the physical device.</summary>
    public uint DevId;

    /// <summary><c>out_vdevice_id</c>: id of the new virtual device.</summary>
    public uint OutVdeviceId;

    /// <summary><c>virt_id</c>: the device's id on the vIOMMU.</summary>
    public ulong VirtId;
}

/// <summary>
/// <c>struct iommu_veventq_alloc</c>, the argument of <c>IOMMU_VEVENTQ_ALLOC</c>: allocates a queue of virtual IOMMU events.
/// </summary>
[StructLayout(LayoutKind.Sequential)]
public struct IommuVeventqAlloc
{
    /// <summary><c>size</c>: bytes of this struct that the caller knows, itself included.</summary>
    public uint Size;

    /// <summary><c>flags</c>: must be 0.</summary>
    public uint Flags;

    /// <summary><c>viommu_id</c>: id of the vIOMMU.</summary>
    public uint ViommuId;

    /// <summary><c>type</c>: kind of the events.</summary>
    public uint Type;

    /// <summary><c>veventq_depth</c>: events that the queue holds.</summary>
    public uint VeventqDepth;

    /// <summary><c>out_veventq_id</c>: id of the new queue.</summary>
    public uint OutVeventqId;

    /// <summary><c>out_veventq_fd</c>: file descriptor to read events from.</summary>
    public uint OutVeventqFd;

    /// <summary><c>__reserved</c>: must be 0.</summary>
    public uint Reserved;
}

/// <summary>
/// <c>struct iommu_hw_queue_alloc</c>, the argument of <c>IOMMU_HW_QUEUE_ALLOC</c>: allocates a hardware queue of a vIOMMU in guest memory.
/// </summary>
[StructLayout(LayoutKind.Sequential)]
public struct IommuHwQueueAlloc
{
    /// <summary><c>size</c>: bytes of this struct that the caller knows, itself included.</summary>
    public uint Size;

    /// <summary><c>flags</c>: must be 0.</summary>
    public uint Flags;

    /// <summary><c>viommu_id</c>: id of the vIOMMU.</summary>
    public uint ViommuId;

    /// <summary><c>type</c>: kind of the queue.</summary>
    public uint Type;

    /// <summary><c>index</c>: index of the queue on its vIOMMU.</summary>
    public uint Index;

    /// <summary><c>out_hw_queue_id</c>: id of the new queue.</summary>
    public uint OutHwQueueId;

    /// <summary><c>nesting_parent_iova</c>: IOVA of the queue's memory in the nesting parent.</summary>
    public ulong NestingParentIova;

    /// <summary><c>length</c>: bytes of the queue's memory.</summary>
    public ulong Length;
}
