using System.Globalization;
using IommuFd.GrainInterfaces;
using IommuFd.Grains.Iommus;
using IommuFd.Grains.IoPagetable;
using IommuFd.Uapi;
using IommuFd.UnitTests.Support;

namespace IommuFd.UnitTests.Iommus;

public sealed class SelftestIommuTests
{
    private static readonly DeviceDescription Tracking = new() { Name = "tracks" };
    private static readonly DeviceDescription Plain = new() { Name = "plain", TracksDirtyPages = false };

    [Theory]
    [InlineData(IommuHwptAllocFlags.None, Errno.None)]
    [InlineData(IommuHwptAllocFlags.NestParent, Errno.None)]
    [InlineData(IommuHwptAllocFlags.DirtyTracking, Errno.None)]
    [InlineData(IommuHwptAllocFlags.Pasid, Errno.None)]
    [InlineData(IommuHwptAllocFlags.NestParent | IommuHwptAllocFlags.DirtyTracking | IommuHwptAllocFlags.Pasid, Errno.None)]
    [InlineData(IommuHwptAllocFlags.FaultIdValid, Errno.EOPNOTSUPP)]
    [InlineData(IommuHwptAllocFlags.DirtyTracking | (IommuHwptAllocFlags)(1 << 4), Errno.EOPNOTSUPP)]
    [InlineData((IommuHwptAllocFlags)(1U << 31), Errno.EOPNOTSUPP)]
    public void Flags_that_it_does_not_know_are_EOPNOTSUPP(IommuHwptAllocFlags flags, Errno errno)
    {
        Expect.Equal(errno, Allocate(Tracking, flags, null, out var domain), $"a domain with {flags}");
        Expect.Equal(errno == Errno.None, domain is not null, "whether there is a domain");
        Expect.Equal(errno == Errno.None && flags.HasFlag(IommuHwptAllocFlags.DirtyTracking), domain?.CanTrackDirty ?? false, "whether it can track");
    }

    [Fact]
    public void Tracking_for_a_device_that_can_t_be_tracked_is_EOPNOTSUPP()
    {
        Expect.Equal(Errno.EOPNOTSUPP, Allocate(Plain, IommuHwptAllocFlags.DirtyTracking, null, out _), "a domain that tracks");
        Expect.Equal(Errno.None, Allocate(Plain, IommuHwptAllocFlags.NestParent, null, out _), "one that doesn't");
    }

    // The content is what can be read of the data: iotlb, pagetable_type, and what a later version may add.
    [Theory]
    [InlineData(IommuHwptDataType.None, 8, "0000000000000000", Errno.EOPNOTSUPP)]
    [InlineData((IommuHwptDataType)1, 8, "0000000000000000", Errno.EOPNOTSUPP)]
    [InlineData((IommuHwptDataType)1, 0, "", Errno.EOPNOTSUPP)]
    [InlineData(IommuHwptDataType.Selftest, 0, "", Errno.EINVAL)]
    [InlineData(IommuHwptDataType.Selftest, 3, "000000", Errno.EINVAL)]
    [InlineData(IommuHwptDataType.Selftest, 4, "01020304", Errno.None)]
    [InlineData(IommuHwptDataType.Selftest, 8, "0102030400000000", Errno.None)]
    [InlineData(IommuHwptDataType.Selftest, 8, "0000000001000000", Errno.None)]
    [InlineData(IommuHwptDataType.Selftest, 8, "0000000002000000", Errno.EOPNOTSUPP)]
    [InlineData(IommuHwptDataType.Selftest, 8, "00000000FFFFFFFF", Errno.EOPNOTSUPP)]
    [InlineData(IommuHwptDataType.Selftest, 12, "000000000000000000000000", Errno.EINVAL)]
    [InlineData(IommuHwptDataType.Selftest, 12, "000000000000000000000001", Errno.EINVAL)]
    [InlineData(IommuHwptDataType.Selftest, 9, "000000000100000001", Errno.EINVAL)]
    [InlineData(IommuHwptDataType.Selftest, 4, "", Errno.EFAULT)]
    [InlineData(IommuHwptDataType.Selftest, 8, "00000000000000", Errno.EFAULT)]
    [InlineData(IommuHwptDataType.Selftest, 8, "00000000010000", Errno.EFAULT)]
    [InlineData(IommuHwptDataType.Selftest, 16, "0000000000000000000000", Errno.EINVAL)]
    [InlineData(IommuHwptDataType.Selftest, 16, "0000000000000000000001", Errno.EINVAL)]
    [InlineData(IommuHwptDataType.Selftest, uint.MaxValue, "0000000000000000", Errno.EINVAL)]
    public void Data_that_is_too_short_or_too_long_is_EINVAL_before_EFAULT_before_EOPNOTSUPP(
        IommuHwptDataType type, uint length, string content, Errno errno)
    {
        var data = new HwptUserData(type, length, Convert.FromHexString(content));
        Expect.Equal(errno, Allocate(Tracking, IommuHwptAllocFlags.None, data, out var domain), $"a domain of {length} bytes {content} of {type}");
        Expect.Equal(errno == Errno.None, domain is not null, "whether there is a domain");
    }

    [Fact]
    public void Flags_come_before_data()
    {
        var data = new HwptUserData(IommuHwptDataType.Selftest, 0, []);
        Expect.Equal(Errno.EOPNOTSUPP, Allocate(Tracking, IommuHwptAllocFlags.FaultIdValid, data, out _), "a domain of bad flags and bad data");
    }

    [Fact]
    public void A_domain_for_huge_pages_maps_almost_everything_by_pages_and_halves_of_huge_ones()
    {
        var data = new HwptUserData(IommuHwptDataType.Selftest, 8, Convert.FromHexString("0000000001000000"));
        Expect.Equal(Errno.None, Allocate(Tracking, IommuHwptAllocFlags.DirtyTracking, data, out var domain), "a domain");
        Expect.Equal((new IovaRange(0, (1UL << 56) - 1), 4096UL, 0x10_1000UL), (domain!.Aperture, domain.PageSize, domain.PageSizeBitmap), "the domain");
        var restored = IommuDriver.Find(DeviceDescription.SelftestIommu)!.RestoreDomain(domain.Save());
        Expect.Equal((domain.PageSizeBitmap, domain.LargestEntry), (restored.PageSizeBitmap, restored.LargestEntry), "what is not saved of it");
    }

    [Fact]
    public void A_domain_maps_a_small_aperture_by_half_pages()
    {
        Expect.Equal(Errno.None, Allocate(Tracking, IommuHwptAllocFlags.None, null, out var domain), "a domain");
        Expect.Equal((new IovaRange(0x100_0000, 0x7FFF_FFFF), 2048UL, false), (domain!.Aperture, domain.PageSize, domain.TracksDirty), "the domain");
        Expect.Sequence([new IovaRange(0, 0xFF_FFFF), new IovaRange(0x8000_0000, ulong.MaxValue)], domain.Outside, "what it can't map");
    }

    [Theory]
    [InlineData(true, true, Errno.None)]
    [InlineData(true, false, Errno.EINVAL)]
    [InlineData(false, true, Errno.None)]
    [InlineData(false, false, Errno.None)]
    public void A_domain_that_tracks_takes_only_devices_that_can_be_tracked(bool domainTracks, bool deviceTracks, Errno errno)
    {
        var flags = domainTracks ? IommuHwptAllocFlags.DirtyTracking : IommuHwptAllocFlags.None;
        Expect.Equal(Errno.None, Allocate(Tracking, flags, null, out var domain), "a domain");
        Expect.Equal(errno, domain!.Attach(deviceTracks ? Tracking : Plain, DeviceDescription.SelftestIommu), "attaching");
    }

    [Theory]
    [InlineData(IommuHwInfoType.Default, Errno.None)]
    [InlineData(IommuHwInfoType.Selftest, Errno.None)]
    [InlineData((IommuHwInfoType)1, Errno.EOPNOTSUPP)]
    public void It_says_what_hardware_it_is_to_those_that_ask_for_it_or_for_any(IommuHwInfoType type, Errno errno)
    {
        var device = new SelftestIommu().CreateDevice(Tracking);
        Expect.Equal(errno, device.HwInfo(ref type, out var data), "asking");
        Expect.Equal(errno == Errno.None ? 8 : 0, data.Length, "bytes of the answer");
        Expect.Equal(errno == Errno.None, type == IommuHwInfoType.Selftest, "whether the answer is the selftest's");
        Expect.Sequence<uint>([0xBADDAD, 0xBADDAD, 0xBADDAD, 0xBADDAD], device.Cache.ToArray(), "the device's cache");
    }

    [Fact]
    public void It_is_found_by_its_name_and_only_by_it()
    {
        Expect.That(IommuDriver.Find(DeviceDescription.SelftestIommu) is SelftestIommu, "The selftest's IOMMU is not found.");
        Expect.Equal(null, IommuDriver.Find(DeviceDescription.SelftestIommu.ToUpper(CultureInfo.InvariantCulture)), "a driver of another name");
    }

    private static Errno Allocate(DeviceDescription device, IommuHwptAllocFlags flags, HwptUserData? data, out IommuDomain? domain)
        => new SelftestIommu().AllocateDomain(device, flags, data, out domain);
}
