using IommuFd.GrainInterfaces;
using IommuFd.Uapi;
using IommuFd.UnitTests.Support;

namespace IommuFd.UnitTests.Objects.Graph;

/// <summary>PASIDs of a device are attached on their own, to page tables that were made for that.</summary>
public sealed class PasidTests
{
    private readonly OpenContext _context = new();
    private readonly ReferenceId _driver;
    private readonly ObjectId _ioas;
    private readonly ObjectId _device;

    public PasidTests()
    {
        _driver = _context.Driver();
        _ioas = new ObjectId(_context.AllocateIoas());
        _device = Bind("device", null);
    }

    [Fact]
    public void A_PASID_is_attached_moved_and_detached_beside_its_device()
    {
        var (first, second) = (Hwpt(), Hwpt());
        _context.AskOk(_driver, new AttachDeviceRequest(_device, first));
        Expect.Equal(second, _context.AskOk(_driver, new AttachDeviceRequest(_device, second, Pasid: 5)), "the HWPT of PASID 5");
        Expect.Equal((2L, 2L), Users(first, second), "users of the HWPTs, each attached once");
        Expect.Equal(first, _context.AskOk(_driver, new ReplaceDeviceRequest(_device, first, Pasid: 5)), "the HWPT of PASID 5, moved");
        Expect.Equal((3L, 1L), Users(first, second), "users of the HWPTs, the first attached twice");
        _context.AskOk(_driver, new DetachDeviceRequest(_device, Pasid: 5));
        Expect.Equal((2L, 1L), Users(first, second), "users of the HWPTs without PASID 5");
        Fails(Errno.EINVAL, DiagnosticReason.DeviceNotAttached, new DetachDeviceRequest(_device, Pasid: 5));
    }

    [Fact]
    public void A_PASID_is_attached_once()
    {
        var hwpt = Hwpt();
        _context.AskOk(_driver, new AttachDeviceRequest(_device, hwpt, Pasid: 1));
        Fails(Errno.EBUSY, DiagnosticReason.DeviceAttached, new AttachDeviceRequest(_device, hwpt, Pasid: 1));
        _context.AskOk(_driver, new AttachDeviceRequest(_device, hwpt, Pasid: 2));
    }

    [Fact]
    public void PASIDs_and_what_is_attached_beside_them_need_HWPTs_that_were_made_for_that()
    {
        var (plain, made) = (new ObjectId(_context.AllocateHwpt(_device.Value, _ioas.Value)), Hwpt());
        Fails(Errno.EINVAL, DiagnosticReason.PasidIncompatible, new AttachDeviceRequest(_device, plain, Pasid: 1));

        // An automatic HWPT was not made for PASIDs either.
        Fails(Errno.EINVAL, DiagnosticReason.PasidIncompatible, new AttachDeviceRequest(_device, _ioas, Pasid: 1));

        _context.AskOk(_driver, new AttachDeviceRequest(_device, plain));
        Fails(Errno.EINVAL, DiagnosticReason.PasidIncompatible, new AttachDeviceRequest(_device, made, Pasid: 1));

        _context.AskOk(_driver, new ReplaceDeviceRequest(_device, made));
        _context.AskOk(_driver, new AttachDeviceRequest(_device, made, Pasid: 1));
        Fails(Errno.EINVAL, DiagnosticReason.PasidIncompatible, new ReplaceDeviceRequest(_device, plain));
        Fails(Errno.EINVAL, DiagnosticReason.PasidIncompatible, new ReplaceDeviceRequest(_device, plain, Pasid: 1));
        _context.AskOk(_driver, new DetachDeviceRequest(_device, Pasid: 1));
        _context.AskOk(_driver, new ReplaceDeviceRequest(_device, plain));
    }

    [Fact]
    public void A_PASID_that_the_device_does_not_have_is_EINVAL()
    {
        var without = Bind("without", null, width: 0);
        var hwpt = Hwpt();
        Fails(Errno.EINVAL, DiagnosticReason.NoSuchPasid, new AttachDeviceRequest(_device, hwpt, Pasid: 1 << 4));
        _context.AskOk(_driver, new AttachDeviceRequest(_device, hwpt, Pasid: (1 << 4) - 1));
        Fails(Errno.EINVAL, DiagnosticReason.NoSuchPasid, new AttachDeviceRequest(without, hwpt, Pasid: 1));
    }

    [Fact]
    public void The_PASIDs_of_a_group_lead_to_one_HWPT_and_its_devices_without_PASIDs_do_not_mind()
    {
        var (first, second, third) = (Bind("first", "group"), Bind("second", "group"), Bind("third", "group", width: 0));
        var (one, other) = (Hwpt(), Hwpt());
        _context.AskOk(_driver, new AttachDeviceRequest(first, one, Pasid: 3));
        Fails(Errno.EINVAL, DiagnosticReason.GroupAttachedElsewhere, new AttachDeviceRequest(second, other, Pasid: 3));
        _context.AskOk(_driver, new AttachDeviceRequest(second, other, Pasid: 4));
        _context.AskOk(_driver, new AttachDeviceRequest(third, other));
        _context.AskOk(_driver, new AttachDeviceRequest(second, one, Pasid: 3));
        _context.AskOk(_driver, new ReplaceDeviceRequest(first, other, Pasid: 3));
        Expect.Equal((1L, 5L), Users(one, other), "users of the HWPTs after PASID 3 of both devices was moved");
        GraphInvariants.CheckAttachments(_context, "after the group's PASID was moved");
    }

    [Fact]
    public void A_PASID_reserves_nothing_and_unbinding_detaches_all_of_them()
    {
        var reserving = _context.AskOk(_driver, new BindDeviceRequest(
            new DeviceDescription { Name = "reserving", PasidWidth = 4, ReservedRegions = [new IovaRange(0x200_0000, 0x200_FFFF)] }));
        var hwpt = Hwpt();
        var before = _context.IoasState(_ioas.Value).Reserved;
        _context.AskOk(_driver, new AttachDeviceRequest(reserving, hwpt, Pasid: 1));
        _context.AskOk(_driver, new AttachDeviceRequest(reserving, hwpt, Pasid: 2));
        Expect.Sequence(before, _context.IoasState(_ioas.Value).Reserved, "reserved ranges with PASIDs attached");
        _context.AskOk(_driver, new AttachDeviceRequest(reserving, hwpt));
        Expect.That(_context.IoasState(_ioas.Value).Reserved.Contains(new IovaRange(0x200_0000, 0x200_FFFF)), "The attached device's region is not reserved.");
        _context.AskOk(_driver, new UnbindDeviceRequest(reserving));
        Expect.Sequence(before, _context.IoasState(_ioas.Value).Reserved, "reserved ranges after the unbind");
        Expect.Equal(1L, _context.Objects.Find(hwpt.Value)!.Users, "users of the HWPT after the unbind");
    }

    private ObjectId Bind(string name, string? group, int width = 4)
        => _context.AskOk(_driver, new BindDeviceRequest(new DeviceDescription { Name = name, Group = group, PasidWidth = width }));

    private ObjectId Hwpt() => new(_context.AllocateHwpt(_device.Value, _ioas.Value, IommuHwptAllocFlags.Pasid));

    private (long First, long Second) Users(ObjectId first, ObjectId second) => (_context.Objects.Find(first.Value)!.Users, _context.Objects.Find(second.Value)!.Users);

    private void Fails(Errno errno, DiagnosticReason reason, DriverRequest request)
    {
        var before = _context.FullSnapshot();
        var reply = _context.Ask(_driver, request);
        Expect.Equal((errno, (DiagnosticReason?)reason), (reply.Errno, reply.Diagnostic?.Reason), $"{request}");
        Expect.Equal(before, _context.FullSnapshot(), $"the context after {request}");
    }
}
