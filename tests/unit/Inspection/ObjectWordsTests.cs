using IommuFd.GrainInterfaces;
using IommuFd.Grains.Inspection;
using IommuFd.Uapi;
using IommuFd.UnitTests.Support;

namespace IommuFd.UnitTests.Inspection;

// What people are shown of each kind of object: clients print it as it comes.

public sealed class ObjectWordsTests
{
    private const ulong Page = 4096;

    private static readonly ulong Base = TestDevices.ApertureStart;

    private readonly OpenContext _context = new();

    public static TheoryData<ObjectType> Types => [.. Enum.GetValues<ObjectType>().Where(type => type != ObjectType.Any)];

    [Theory]
    [MemberData(nameof(Types))]
    public async Task Every_kind_of_object_has_a_label_a_summary_and_facts(ObjectType type)
    {
        _context.Guest();
        var found = _context.Objects.After(0).FirstOrDefault(entry => entry.Type == type);
        Expect.That(found is not null, $"The test has no object of the kind {type}: add one.");
        var shown = await InspectAsync(found.Id.Value);
        Expect.That(shown.Summary.Length > 0, $"{found.Ref} has no summary.");
        Expect.That(shown.Facts.Length > 0 && shown.Facts.All(fact => fact is { Name.Length: > 0, Value.Length: > 0 }), $"{found.Ref} has no facts, or an empty one.");
        Expect.Equal(1, Enum.GetValues<ObjectType>().Count(other => other.Label() == type.Label()), $"kinds with the label {type.Label()}");
    }

    [Fact]
    public void A_kind_of_a_later_version_is_told_by_its_number() => Expect.Equal("object(1000) 2", new ObjectRef((ObjectType)1000, new ObjectId(2)).ToString(), "an unknown kind");

    [Fact]
    public async Task An_IOAS_counts_its_areas_and_pins_and_says_what_is_free()
    {
        var ioas = _context.AllocateIoas();
        await ExpectAsync(ioas, "", "0 areas, 16 EiB free");
        _context.Map(ioas, Base, 2 * Page);
        var driver = _context.Driver();
        var access = _context.AskOk(driver, new CreateAccessRequest(NeedsPinPages: true));
        _context.AskOk(driver, new AttachAccessRequest(access, new ObjectId(ioas)));
        _context.AskOk(driver, new PinPagesRequest(access, Base, Page, Write: false));
        await ExpectAsync(
            ioas, "", "1 area, 16 EiB free, 1 pin",
            ("areas", "1"), ("IOVA alignment", "4,096 bytes"), ("huge pages", "on"), ("page tables", "0"), ("accesses", "1"), ("pins", "1"),
            ("allowed", "everything not reserved"), ("reserved", "nothing"));
        await ExpectAsync(
            access.Value, "", $"attached to IOAS {ioas}, 1 pin of 4 KiB", ("made by", "driver 'driver'"), ("attached to", $"IOAS {ioas}"), ("can pin pages", "yes"),
            ("pins", "1 pin of 4 KiB"));
    }

    [Fact]
    public async Task A_device_says_what_it_and_its_PASIDs_are_attached_to()
    {
        var driver = _context.Driver("vfio-pci");
        var device = _context.AskOk(driver, new BindDeviceRequest(new DeviceDescription { Name = "0000:01:00.0", Group = "g", PasidWidth = 4 }));
        await ExpectAsync(device.Value, "0000:01:00.0", "not attached, of group g", ("attached to", "nothing"), ("attached PASIDs", "none"));
        var hwpt = _context.AllocateHwpt(device.Value, _context.AllocateIoas(), IommuHwptAllocFlags.Pasid);
        _context.AskOk(driver, new AttachDeviceRequest(device, new ObjectId(hwpt)));
        _context.AskOk(driver, new AttachDeviceRequest(device, new ObjectId(hwpt), Pasid: 3));
        await ExpectAsync(
            device.Value, "0000:01:00.0", $"attached to HWPT {hwpt}, 1 PASID attached, of group g",
            ("bound by", "driver 'vfio-pci'"), ("attached to", $"HWPT {hwpt}"), ("IOMMU", "selftest"), ("IOMMU group", "g"), ("reserved regions", "none"),
            ("dirty tracking", "supported"), ("PASIDs", "4 bits"), ("attached PASIDs", $"3 to HWPT {hwpt}"));
    }

    [Fact]
    public async Task A_HWPT_says_what_it_mirrors_and_who_made_it()
    {
        var ioas = _context.AllocateIoas();
        var mock = _context.MockDomain(ioas);
        await ExpectAsync(
            mock.OutHwptId, "", $"mirrors IOAS {ioas}, automatic",
            ("mirrors", $"IOAS {ioas}"), ("made by", "attaching a device; destroyed with its last device"), ("flags", "none"), ("IOMMU", "selftest"), ("dirty tracking", "off"),
            ("page size", "2 KiB"), ("aperture", "[0x1000000, 0x7FFFFFFF]"));
        var own = _context.AllocateHwpt(mock.OutIdevId, ioas, IommuHwptAllocFlags.DirtyTracking);
        _context.RunOk0(IommuCommand.HwptSetDirtyTracking, new IommuHwptSetDirtyTracking { Size = 16, HwptId = own, Flags = 1 });
        await ExpectAsync(own, "", $"mirrors IOAS {ioas}, DirtyTracking, 0 dirty pages", ("made by", "IOMMU_HWPT_ALLOC"), ("dirty tracking", "on, 0 dirty pages"));
        await ExpectAsync(mock.OutIdevId, "iommufd_mock", $"attached to HWPT {mock.OutHwptId}", ("bound by", $"selftest {mock.OutStdevId}"));
        await ExpectAsync(mock.OutStdevId, "", $"owns device {mock.OutIdevId}", ("owns", $"device {mock.OutIdevId}"));
    }

    [Fact]
    public async Task A_list_has_names_and_summaries_where_states_are_asked_for_and_never_facts()
    {
        var device = _context.Bind(_context.Driver(), "0000:01:00.0");
        foreach (var withState in (bool[])[false, true])
        {
            var page = await ContextInspector.InspectAsync(_context.Model, _context.ObjectGrains, "silo", new InspectRequest(default, 10, withState), CancellationToken.None);
            Expect.Equal(
                ("0000:01:00.0", withState ? "not attached" : "", 0), (page.Objects[0].Name, page.Objects[0].Summary, page.Objects[0].Facts.Length),
                $"name, summary and facts of {device} in a list with states: {withState}");
            Expect.Equal($"device {device} '0000:01:00.0'", page.Objects[0].ToString(), "the device in words");
        }
    }

    [Fact]
    public void Each_kind_is_drawn_as_what_it_is()
    {
        _context.MockDomain(_context.AllocateIoas());
        _context.AskOk(_context.Driver(), new CreateAccessRequest(NeedsPinPages: false));
        var graph = GraphWalker.Walk(_context.Model, new GraphRequest(default, GraphDirection.None, 100));
        Expect.Sequence(
            [
                ("HWPT", DrawingStyle.PageTable), ("IOAS", DrawingStyle.Memory), ("access", DrawingStyle.Access), ("device", DrawingStyle.Device), ("driver", DrawingStyle.Driver),
                ("selftest", DrawingStyle.Other),
            ],
            graph.Nodes.Select(node => (node.Label(), node.Style)).OrderBy(node => node.Item1, StringComparer.Ordinal), "how the nodes are drawn");
    }

    private async Task<ObjectInspection> InspectAsync(uint id)
        => await ContextInspector.InspectObjectAsync(_context.Model, _context.ObjectGrains, new ObjectId(id), default) ?? throw new InvalidOperationException($"There is no object {id}.");

    private async Task ExpectAsync(uint id, string name, string summary, params (string Name, string Value)[] facts)
    {
        var shown = await InspectAsync(id);
        Expect.Equal((name, summary), (shown.Name, shown.Summary), $"name and summary of {shown.Object}");
        foreach (var (fact, value) in facts)
        {
            Expect.Equal(value, shown.Facts.SingleOrDefault(shown => shown.Name == fact).Value, $"the fact '{fact}' of {shown.Object}");
        }
    }
}
