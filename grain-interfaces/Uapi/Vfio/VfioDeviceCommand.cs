namespace IommuFd.Uapi;

// The ioctls of a device file, /dev/vfio/devices/vfioN, and their numbers, flags and indexes. As in include/uapi/linux/vfio.h.

/// <summary>The full ioctl numbers of a device file, <c>_IO(';', 100 + nr)</c>. Some are also numbers of <see cref="VfioCommand"/>: the file tells them apart.</summary>
public enum VfioDeviceCommand : uint
{
    /// <summary><c>VFIO_DEVICE_GET_INFO</c>.</summary>
    GetInfo = 0x3B6B,

    /// <summary><c>VFIO_DEVICE_GET_REGION_INFO</c>.</summary>
    GetRegionInfo = 0x3B6C,

    /// <summary><c>VFIO_DEVICE_GET_IRQ_INFO</c>.</summary>
    GetIrqInfo = 0x3B6D,

    /// <summary><c>VFIO_DEVICE_SET_IRQS</c>.</summary>
    SetIrqs = 0x3B6E,

    /// <summary><c>VFIO_DEVICE_RESET</c>.</summary>
    Reset = 0x3B6F,

    /// <summary><c>VFIO_DEVICE_GET_PCI_HOT_RESET_INFO</c>.</summary>
    GetPciHotResetInfo = 0x3B70,

    /// <summary><c>VFIO_DEVICE_PCI_HOT_RESET</c>.</summary>
    PciHotReset = 0x3B71,

    /// <summary><c>VFIO_DEVICE_IOEVENTFD</c>.</summary>
    IoEventFd = 0x3B74,

    /// <summary><c>VFIO_DEVICE_FEATURE</c>.</summary>
    Feature = 0x3B75,

    /// <summary><c>VFIO_DEVICE_BIND_IOMMUFD</c>.</summary>
    BindIommufd = 0x3B76,

    /// <summary><c>VFIO_DEVICE_ATTACH_IOMMUFD_PT</c>.</summary>
    AttachIommufdPt = 0x3B77,

    /// <summary><c>VFIO_DEVICE_DETACH_IOMMUFD_PT</c>.</summary>
    DetachIommufdPt = 0x3B78,
}

/// <summary>Flags of <c>VFIO_DEVICE_GET_INFO</c>.</summary>
[Flags]
public enum VfioDeviceFlags : uint
{
    /// <summary>None.</summary>
    None = 0,

    /// <summary><c>VFIO_DEVICE_FLAGS_RESET</c>: the device can be reset.</summary>
    Reset = 1 << 0,

    /// <summary><c>VFIO_DEVICE_FLAGS_PCI</c>.</summary>
    Pci = 1 << 1,
}

/// <summary>Flags of <c>VFIO_DEVICE_GET_REGION_INFO</c>.</summary>
[Flags]
public enum VfioRegionFlags : uint
{
    /// <summary>None.</summary>
    None = 0,

    /// <summary><c>VFIO_REGION_INFO_FLAG_READ</c>.</summary>
    Read = 1 << 0,

    /// <summary><c>VFIO_REGION_INFO_FLAG_WRITE</c>.</summary>
    Write = 1 << 1,

    /// <summary><c>VFIO_REGION_INFO_FLAG_MMAP</c>.</summary>
    Mmap = 1 << 2,

    /// <summary><c>VFIO_REGION_INFO_FLAG_CAPS</c>: capabilities follow the struct, or would if there were room.</summary>
    Caps = 1 << 3,
}

/// <summary>Capabilities of a region.</summary>
public enum VfioRegionCapability : ushort
{
    /// <summary><c>VFIO_REGION_INFO_CAP_SPARSE_MMAP</c>: which parts can be mapped.</summary>
    SparseMmap = 1,

    /// <summary><c>VFIO_REGION_INFO_CAP_MSIX_MAPPABLE</c>: the MSI-X table can be mapped with the rest.</summary>
    MsixMappable = 3,
}

/// <summary>The regions of a PCI device (<c>VFIO_PCI_*_REGION_INDEX</c>).</summary>
public enum VfioPciRegion : uint
{
    /// <summary><c>VFIO_PCI_BAR0_REGION_INDEX</c>: the BARs are 0 to 5.</summary>
    Bar0 = 0,

    /// <summary><c>VFIO_PCI_ROM_REGION_INDEX</c>.</summary>
    Rom = 6,

    /// <summary><c>VFIO_PCI_CONFIG_REGION_INDEX</c>.</summary>
    Config = 7,

    /// <summary><c>VFIO_PCI_VGA_REGION_INDEX</c>.</summary>
    Vga = 8,

    /// <summary><c>VFIO_PCI_NUM_REGIONS</c>.</summary>
    Count = 9,
}

/// <summary>The kinds of interrupt of a PCI device (<c>VFIO_PCI_*_IRQ_INDEX</c>).</summary>
public enum VfioPciIrq : uint
{
    /// <summary><c>VFIO_PCI_INTX_IRQ_INDEX</c>.</summary>
    Intx = 0,

    /// <summary><c>VFIO_PCI_MSI_IRQ_INDEX</c>.</summary>
    Msi = 1,

    /// <summary><c>VFIO_PCI_MSIX_IRQ_INDEX</c>.</summary>
    Msix = 2,

    /// <summary><c>VFIO_PCI_ERR_IRQ_INDEX</c>.</summary>
    Err = 3,

    /// <summary><c>VFIO_PCI_REQ_IRQ_INDEX</c>.</summary>
    Req = 4,

    /// <summary><c>VFIO_PCI_NUM_IRQS</c>; also no kind at all.</summary>
    Count = 5,
}

/// <summary>Flags of <c>VFIO_DEVICE_GET_IRQ_INFO</c>.</summary>
[Flags]
public enum VfioIrqInfoFlags : uint
{
    /// <summary>None.</summary>
    None = 0,

    /// <summary><c>VFIO_IRQ_INFO_EVENTFD</c>.</summary>
    EventFd = 1 << 0,

    /// <summary><c>VFIO_IRQ_INFO_MASKABLE</c>.</summary>
    Maskable = 1 << 1,

    /// <summary><c>VFIO_IRQ_INFO_AUTOMASKED</c>.</summary>
    AutoMasked = 1 << 2,

    /// <summary><c>VFIO_IRQ_INFO_NORESIZE</c>.</summary>
    NoResize = 1 << 3,
}

/// <summary>Flags of <c>VFIO_DEVICE_SET_IRQS</c>: one kind of data and one action.</summary>
[Flags]
public enum VfioIrqSetFlags : uint
{
    /// <summary>None.</summary>
    None = 0,

    /// <summary><c>VFIO_IRQ_SET_DATA_NONE</c>.</summary>
    DataNone = 1 << 0,

    /// <summary><c>VFIO_IRQ_SET_DATA_BOOL</c>: a byte an interrupt.</summary>
    DataBool = 1 << 1,

    /// <summary><c>VFIO_IRQ_SET_DATA_EVENTFD</c>: a descriptor an interrupt, -1 for none.</summary>
    DataEventFd = 1 << 2,

    /// <summary><c>VFIO_IRQ_SET_ACTION_MASK</c>.</summary>
    ActionMask = 1 << 3,

    /// <summary><c>VFIO_IRQ_SET_ACTION_UNMASK</c>.</summary>
    ActionUnmask = 1 << 4,

    /// <summary><c>VFIO_IRQ_SET_ACTION_TRIGGER</c>.</summary>
    ActionTrigger = 1 << 5,

    /// <summary><c>VFIO_IRQ_SET_DATA_TYPE_MASK</c>.</summary>
    DataTypes = DataNone | DataBool | DataEventFd,

    /// <summary><c>VFIO_IRQ_SET_ACTION_TYPE_MASK</c>.</summary>
    ActionTypes = ActionMask | ActionUnmask | ActionTrigger,
}

/// <summary>Flags of <c>VFIO_DEVICE_GET_PCI_HOT_RESET_INFO</c>.</summary>
[Flags]
public enum VfioHotResetFlags : uint
{
    /// <summary>None.</summary>
    None = 0,

    /// <summary><c>VFIO_PCI_HOT_RESET_FLAG_DEV_ID</c>: devices are named by their ids in the context.</summary>
    DevId = 1 << 0,

    /// <summary><c>VFIO_PCI_HOT_RESET_FLAG_DEV_ID_OWNED</c>: all of them are the context's.</summary>
    DevIdOwned = 1 << 1,
}

/// <summary>Flags of <c>VFIO_DEVICE_FEATURE</c>, beside the feature's number.</summary>
[Flags]
public enum VfioFeatureFlags : uint
{
    /// <summary><c>VFIO_DEVICE_FEATURE_MASK</c>: the feature's number.</summary>
    Number = 0xFFFF,

    /// <summary><c>VFIO_DEVICE_FEATURE_GET</c>.</summary>
    Get = 1 << 16,

    /// <summary><c>VFIO_DEVICE_FEATURE_SET</c>.</summary>
    Set = 1 << 17,

    /// <summary><c>VFIO_DEVICE_FEATURE_PROBE</c>: only asks whether the feature is there.</summary>
    Probe = 1 << 18,
}

/// <summary>Features of <c>VFIO_DEVICE_FEATURE</c>.</summary>
public enum VfioFeature : uint
{
    /// <summary><c>VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY</c>.</summary>
    LowPowerEntry = 3,

    /// <summary><c>VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY_WITH_WAKEUP</c>: the same, and tells an eventfd when the device wakes.</summary>
    LowPowerEntryWithWakeup = 4,

    /// <summary><c>VFIO_DEVICE_FEATURE_LOW_POWER_EXIT</c>.</summary>
    LowPowerExit = 5,

    /// <summary><c>VFIO_DEVICE_FEATURE_DMA_BUF</c>: exports a part of a BAR as a dma-buf, whose descriptor is the return value.</summary>
    DmaBuf = 11,
}

/// <summary>Flags of <c>VFIO_DEVICE_BIND_IOMMUFD</c>.</summary>
[Flags]
public enum VfioBindFlags : uint
{
    /// <summary>None.</summary>
    None = 0,

    /// <summary><c>VFIO_DEVICE_BIND_FLAG_TOKEN</c>: the token of a device with virtual functions.</summary>
    Token = 1 << 0,
}

/// <summary>Flags of <c>VFIO_DEVICE_ATTACH_IOMMUFD_PT</c> and of <c>VFIO_DEVICE_DETACH_IOMMUFD_PT</c>.</summary>
[Flags]
public enum VfioAttachFlags : uint
{
    /// <summary>The device itself.</summary>
    None = 0,

    /// <summary><c>VFIO_DEVICE_ATTACH_PASID</c>, <c>VFIO_DEVICE_DETACH_PASID</c>: a PASID of the device.</summary>
    Pasid = 1 << 0,
}
