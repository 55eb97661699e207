using IommuFd.GrainInterfaces;
using IommuFd.Grains.IoPagetable;
using IommuFd.Uapi;

namespace IommuFd.Grains.Iommus;

/// <summary>
/// A plain IOMMU like a PC's: 48 bits of IOVAs in pages of 4 KiB, and the unmappable window in which PCI devices signal interrupts. For
/// programs that map what real machines map and don't want the selftest's corner cases.
/// </summary>
internal sealed class PciIommu : IommuDriver
{
    private const IommuHwptAllocFlags PagingFlags = IommuHwptAllocFlags.DirtyTracking | IommuHwptAllocFlags.Pasid;

    private static readonly IovaRange Aperture = new(0, (1UL << 48) - 1);

    // Where x86 machines treat writes as interrupts.
    private static readonly IovaRange InterruptWindow = new(0xFEE0_0000, 0xFEEF_FFFF);

    public override string Name => DeviceDescription.PciIommu;

    public override IovaRange[] ReservedRegions(DeviceDescription device) => [InterruptWindow, .. device.ReservedRegions];

    public override Errno AllocateDomain(DeviceDescription device, IommuHwptAllocFlags flags, HwptUserData? data, out IommuDomain? domain)
    {
        domain = null;
        var tracksDirty = flags.HasFlag(IommuHwptAllocFlags.DirtyTracking);
        if ((flags & ~PagingFlags) != 0 || data is not null || (tracksDirty && !TracksDirty(device)))
        {
            return Errno.EOPNOTSUPP;
        }

        domain = CreateDomain(Name, Aperture, PageSizes.Page, tracksDirty);
        return Errno.None;
    }

    // 4 KiB, 2 MiB and 1 GiB, as on x86 machines.
    protected override ulong PageSizesOf(string instance, ulong pageSize) => 0x4020_1000;

    public override EmulatedDevice CreateDevice(DeviceDescription device) => new PlainDevice();
}

/// <summary>A device whose IOMMU reports nothing about itself, like drivers without hw_info.</summary>
internal sealed class PlainDevice : EmulatedDevice
{
    public override Errno HwInfo(ref IommuHwInfoType type, out byte[] data)
    {
        (type, data) = (IommuHwInfoType.Default, []);
        return Errno.None;
    }
}
