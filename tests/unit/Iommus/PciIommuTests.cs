using IommuFd.GrainInterfaces;
using IommuFd.Uapi;
using IommuFd.UnitTests.Support;

namespace IommuFd.UnitTests.Iommus;

/// <summary>Another emulated IOMMU than the selftest's: other IOVAs, other pages, and page tables that the two don't share.</summary>
public sealed class PciIommuTests
{
    private const ulong Page = 4096;

    private readonly OpenContext _context = new();
    private readonly ReferenceId _driver;

    public PciIommuTests() => _driver = _context.Driver();

    [Fact]
    public void It_maps_48_bits_but_for_the_window_of_interrupts()
    {
        var ioas = _context.AllocateIoas();
        _context.AskOk(_driver, new AttachDeviceRequest(Bind(DeviceDescription.PciIommu), new ObjectId(ioas)));
        Expect.Sequence(
            [new(0xFEE0_0000, 0xFEEF_FFFF), new(1UL << 48, ulong.MaxValue)], _context.IoasState(ioas).Reserved, "reserved IOVAs");
        Expect.Equal(Page, _context.IoasState(ioas).Alignment, "alignment of IOVAs");
        Expect.Equal(Errno.None, _context.TryMap(ioas, 0, Page).Errno, "mapping the first page");
        Expect.Equal(Errno.None, _context.TryMap(ioas, (1UL << 48) - Page, Page).Errno, "mapping the last page of 48 bits");
        Expect.Equal(Errno.EINVAL, _context.TryMap(ioas, 1UL << 48, Page).Errno, "mapping behind 48 bits");
        Expect.Equal(Errno.EINVAL, _context.TryMap(ioas, 0xFEE0_0000, Page).Errno, "mapping the window of interrupts");
    }

    [Fact]
    public void Devices_behind_different_IOMMUs_attached_to_one_IOAS_have_a_HWPT_each()
    {
        var ioas = new ObjectId(_context.AllocateIoas());
        var (pci, selftest) = (Bind(DeviceDescription.PciIommu), Bind(DeviceDescription.SelftestIommu));
        var first = _context.AskOk(_driver, new AttachDeviceRequest(pci, ioas));
        var second = _context.AskOk(_driver, new AttachDeviceRequest(selftest, ioas));
        Expect.That(first != second, "Both are attached to one HWPT.");
        Expect.Equal(first, _context.AskOk(_driver, new AttachDeviceRequest(Bind(DeviceDescription.PciIommu), ioas)), "the HWPT of a further device");
        var refused = _context.Ask(_driver, new ReplaceDeviceRequest(selftest, first));
        Expect.Equal((Errno.EINVAL, DiagnosticReason.DeviceIncompatible), (refused.Errno, refused.Diagnostic!.Reason), "replacing by the HWPT of the other IOMMU");

        // Both apertures bind, in either order.
        Expect.Equal(Errno.EINVAL, _context.TryMap(ioas.Value, 0, Page).Errno, "mapping what only one of them can map");
    }

    [Fact]
    public void It_says_nothing_of_itself_and_makes_no_nest_parents()
    {
        var ioas = _context.AllocateIoas();
        var device = Bind(DeviceDescription.PciIommu);
        var info = _context.RunOk(IommuCommand.GetHwInfo, new IommuHwInfo { DevId = device.Value });
        Expect.Equal((0U, 0U), (info.OutDataType, info.DataLen), "type and length of the hardware information");
        Expect.Equal(
            (ulong)(IommuHwCapabilities.DirtyTracking | IommuHwCapabilities.PciAtsNotSupported), info.OutCapabilities, "what it can do");
        Expect.Equal(Errno.EOPNOTSUPP, _context.TryAllocateHwpt(device.Value, ioas, IommuHwptAllocFlags.NestParent).Errno, "a nest parent");
        _context.AllocateHwpt(device.Value, ioas, IommuHwptAllocFlags.DirtyTracking | IommuHwptAllocFlags.Pasid);
    }

    [Fact]
    public void An_IOMMU_that_nobody_emulates_is_ENODEV()
    {
        var bound = _context.Ask(_driver, new BindDeviceRequest(new DeviceDescription { Name = "device", Iommu = "smmu" }));
        Expect.Equal((Errno.ENODEV, DiagnosticReason.UnknownIommu), (bound.Errno, bound.Diagnostic!.Reason), "binding a device behind an unknown IOMMU");
    }

    private ObjectId Bind(string iommu) => _context.AskOk(_driver, new BindDeviceRequest(new DeviceDescription { Name = "device", Iommu = iommu }));
}
