using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using IommuFd.Devices.Pci;
using IommuFd.Uapi;

namespace IommuFd.Devices.Vfio;

/// <summary>What a device file says of its device.</summary>
internal sealed class VfioInfo(VfioDevice device)
{
    private const uint NotOwned = uint.MaxValue;

    private readonly PciFunction _function = device.Function;

    /// <summary>VFIO_DEVICE_GET_INFO.</summary>
    public static VfioReply Device(VfioIoctl ioctl)
    {
        var errno = VfioCopy.In(ioctl, VfioDeviceCommand.GetInfo, out VfioDeviceInfo info);
        if (errno != Errno.None || info.Argsz < VfioArgument.LeastOf(VfioDeviceCommand.GetInfo))
        {
            return new VfioReply(errno == Errno.None ? Errno.EINVAL : errno);
        }

        (info.Flags, info.NumRegions, info.NumIrqs) = ((uint)(VfioDeviceFlags.Pci | VfioDeviceFlags.Reset), (uint)VfioPciRegion.Count, (uint)VfioPciIrq.Count);

        // cap_offset is a later field, which is written where the caller has it.
        var length = info.Argsz >= Unsafe.SizeOf<VfioDeviceInfo>() - sizeof(uint) ? Unsafe.SizeOf<VfioDeviceInfo>() - sizeof(uint) : VfioArgument.LeastOf(VfioDeviceCommand.GetInfo);
        return VfioCopy.Back(ioctl, UapiStruct.ToBytes(in info).AsSpan(0, length));
    }

    /// <summary>VFIO_DEVICE_GET_REGION_INFO.</summary>
    public VfioReply Region(VfioIoctl ioctl)
    {
        var errno = VfioCopy.In(ioctl, VfioDeviceCommand.GetRegionInfo, out VfioRegionInfo info);
        if (errno != Errno.None || info.Argsz < Unsafe.SizeOf<VfioRegionInfo>())
        {
            return new VfioReply(errno == Errno.None ? Errno.EINVAL : errno);
        }

        if (info.Index >= (uint)VfioPciRegion.Vga)
        {
            return new VfioReply(Errno.EINVAL);
        }

        (info.Offset, info.Size, info.Flags) = ((ulong)info.Index << VfioRegions.OffsetShift, 0, 0);
        byte[] capabilities = [];
        if (info.Index == (uint)VfioPciRegion.Config)
        {
            (info.Size, info.Flags) = (ConfigSpace.Length, (uint)(VfioRegionFlags.Read | VfioRegionFlags.Write));
        }
        else if (_function.Bar((int)info.Index) is { } bar)
        {
            var flags = VfioRegionFlags.Read | VfioRegionFlags.Write | (bar.Mappable.Count > 0 ? VfioRegionFlags.Mmap : 0);
            (info.Size, info.Flags) = ((ulong)bar.Length, (uint)flags);
            capabilities = bar.Mappable.Count > 0 && !bar.IsMappable ? SparseMmap(bar) : [];
        }

        return capabilities.Length == 0 ? VfioCopy.Back(ioctl, in info) : WithCapabilities(ioctl, info, capabilities);
    }

    /// <summary>VFIO_DEVICE_GET_IRQ_INFO.</summary>
    public VfioReply Irq(VfioIoctl ioctl)
    {
        var errno = VfioCopy.In(ioctl, VfioDeviceCommand.GetIrqInfo, out VfioIrqInfo info);
        if (errno != Errno.None || info.Argsz < Unsafe.SizeOf<VfioIrqInfo>() || info.Index >= (uint)VfioPciIrq.Count)
        {
            return new VfioReply(errno == Errno.None ? Errno.EINVAL : errno);
        }

        var flags = (VfioPciIrq)info.Index == VfioPciIrq.Intx ? VfioIrqInfoFlags.Maskable | VfioIrqInfoFlags.AutoMasked : VfioIrqInfoFlags.NoResize;
        (info.Flags, info.Count) = ((uint)(VfioIrqInfoFlags.EventFd | flags), Count(_function, (VfioPciIrq)info.Index));
        return VfioCopy.Back(ioctl, in info);
    }

    /// <summary>VFIO_DEVICE_GET_PCI_HOT_RESET_INFO: the functions of the slot, by their ids in the context.</summary>
    public VfioReply HotReset(VfioIoctl ioctl, VfioBinding binding)
    {
        var errno = VfioCopy.In(ioctl, VfioDeviceCommand.GetPciHotResetInfo, out VfioPciHotResetInfo info);
        if (errno != Errno.None || info.Argsz < Unsafe.SizeOf<VfioPciHotResetInfo>())
        {
            return new VfioReply(errno == Errno.None ? Errno.EINVAL : errno);
        }

        var devices = device.Machine.Slot(device).Select(other => Dependent(other, binding)).ToArray();
        (info.Flags, info.Count) = ((uint)VfioHotResetFlags.DevId, (uint)devices.Length);
        if (info.Argsz < Unsafe.SizeOf<VfioPciHotResetInfo>() + (devices.Length * Unsafe.SizeOf<VfioPciDependentDevice>()))
        {
            return VfioCopy.Back(ioctl, in info, errno: Errno.ENOSPC);
        }

        info.Flags |= Array.Exists(devices, dependent => dependent.DevId == NotOwned) ? 0 : (uint)VfioHotResetFlags.DevIdOwned;
        return VfioCopy.Back(ioctl, in info, MemoryMarshal.AsBytes(devices.AsSpan()));
    }

    /// <summary>How many interrupts of a kind there are.</summary>
    public static uint Count(PciFunction function, VfioPciIrq index) => index switch
    {
        VfioPciIrq.Intx => function.Config.Get8(PciRegister.InterruptPin) != 0 ? 1U : 0,
        VfioPciIrq.Msi => 1U << ((function.Config.Get16(function.Config.Find(PciCapability.Msi) + PciRegister.MsiControl) >> 1) & 7),
        VfioPciIrq.Msix => (uint)function.Interrupts.Count,
        VfioPciIrq.Err or VfioPciIrq.Req => 1,
        _ => 0,
    };

    private static VfioReply WithCapabilities(VfioIoctl ioctl, VfioRegionInfo info, byte[] capabilities)
    {
        info.Flags |= (uint)VfioRegionFlags.Caps;
        var needed = (uint)(Unsafe.SizeOf<VfioRegionInfo>() + capabilities.Length);
        if (info.Argsz < needed)
        {
            (info.Argsz, info.CapOffset) = (needed, 0);
            return VfioCopy.Back(ioctl, in info);
        }

        info.CapOffset = (uint)Unsafe.SizeOf<VfioRegionInfo>();
        return VfioCopy.Back(ioctl, in info, capabilities);
    }

    private static byte[] SparseMmap(PciBar bar)
    {
        var header = new VfioRegionInfoCapSparseMmap
        {
            Header = new VfioInfoCapHeader { Id = (ushort)VfioRegionCapability.SparseMmap, Version = 1 },
            NrAreas = (uint)bar.Mappable.Count,
        };
        var areas = bar.Mappable.Select(area => new VfioRegionSparseMmapArea { Offset = (ulong)area.Offset, Size = (ulong)area.Length });
        return [.. UapiStruct.ToBytes(in header), .. areas.SelectMany(area => UapiStruct.ToBytes(in area))];
    }

    private VfioPciDependentDevice Dependent(VfioDevice other, VfioBinding binding)
    {
        var owner = binding.Context.Driver.Handle;
        return new VfioPciDependentDevice
        {
            DevId = !device.Machine.Owns(other.Group, owner) ? NotOwned : other.BoundId.Value,
            Segment = other.Address.Segment,
            Bus = other.Address.Bus,
            DevFn = other.Address.DevFn,
        };
    }
}
