using IommuFd.GrainInterfaces;
using IommuFd.Grains.Inspection;
using IommuFd.Grains.Model;
using IommuFd.Uapi;
using IommuFd.UnitTests.Support;

namespace IommuFd.UnitTests.Inspection;

public sealed class ContextInspectorTests
{
    private readonly OpenContext _context = new();

    [Fact]
    public async Task An_inspection_shows_the_context_its_references_and_its_objects()
    {
        var (one, two) = (_context.Add(), _context.Add());
        Hold.RefToUsers(two, one, "parent");
        _context.Model.CompatIoas = two;
        _context.Model.RlimitMode = 1;
        var driver = _context.Driver("vfio-pci");
        var hold = _context.Hold(driver, two.Id, "DMA");
        var shown = await InspectAsync(new InspectRequest(default, 10, WithState: false));

        Expect.Equal(
            (Errno.None, ContextMode.Volatile, "silo", 1u, two.Id), (shown.Errno, shown.Mode, shown.Silo, shown.RlimitMode, shown.CompatIoas), "the context");
        Expect.Sequence(
            [(ReferenceKind.File, "test", 0), (ReferenceKind.Driver, "vfio-pci", 1)], shown.References.Select(shown => (shown.Kind, shown.Name, shown.Holds)),
            "the references");
        Expect.Equal((2L, false), (shown.ObjectCount, shown.HasMore), "how many objects there are, and whether more");
        Expect.Sequence(
            [(one.Ref, 2L, null), (two.Ref, 2L, (ObjectState?)null)], shown.Objects.Select(shown => (shown.Object, shown.Users, shown.State)), "the objects");
        Expect.Sequence([new Holder(ObjectType.Ioas, two.Id, "parent", default)], shown.Objects[0].Holders, "holders of the first");
        Expect.Sequence([new Holder(ObjectType.Any, default, "vfio-pci: DMA", hold)], shown.Objects[1].Holders, "holders of the second");
    }

    [Fact]
    public async Task Pages_follow_each_other_without_a_gap()
    {
        for (var i = 0; i < 10; i++)
        {
            _context.Add();
        }

        _context.Objects.Remove(4, leaveTombstone: false, out _);
        var seen = new List<uint>();
        for (var (after, more) = (default(ObjectId), true); more;)
        {
            var page = await InspectAsync(new InspectRequest(after, 4, WithState: false));
            Expect.Equal(9L, page.ObjectCount, "objects on all pages");
            seen.AddRange(page.Objects.Select(shown => shown.Object.Id.Value));
            Expect.Equal(seen.Count < 9, page.HasMore, $"whether there are more behind {string.Join(", ", seen)}");
            (after, more) = (page.Objects[^1].Object.Id, page.HasMore);
        }

        Expect.Sequence<uint>([1, 2, 3, 5, 6, 7, 8, 9, 10], seen, "the objects of all pages");
    }

    [Theory]
    [InlineData(-1, 0)]
    [InlineData(0, 0)]
    [InlineData(10_000, 10_000)]
    [InlineData(10_001, 10_000)]
    [InlineData(int.MaxValue, 10_000)]
    public async Task A_page_has_from_0_to_10000_objects_whatever_is_asked_for(int limit, int objects)
    {
        for (var i = 0; i < 10_001; i++)
        {
            _context.Add();
        }

        var page = await InspectAsync(new InspectRequest(default, limit, WithState: false));
        Expect.Equal((objects, true), (page.Objects.Length, page.HasMore), $"objects of a page of {limit}, and whether there are more");
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task A_page_ends_where_it_has_as_many_bytes_as_a_reply_may_have(bool withState)
    {
        // By their holders' names, or by the regions of devices.
        var driver = _context.Driver(new string('d', IoctlLimits.MaxNameLength));
        var regions = Enumerable.Range(0, IoctlLimits.MaxReservedRegions).Select(i => new IovaRange((ulong)i, (ulong)i)).ToArray();
        for (var i = 0; i < 600; i++)
        {
            var id = withState ? _context.Bind(driver, $"device {i}", reserved: regions) : _context.Add().Id;
            for (var hold = 0; hold < 30 && !withState; hold++)
            {
                _context.Hold(driver, id, new string('h', IoctlLimits.MaxNameLength));
            }
        }

        var (pages, seen) = (0, 0);
        for (var (after, more) = (default(ObjectId), true); more; pages++)
        {
            var page = await InspectAsync(new InspectRequest(after, int.MaxValue, withState));
            var bytes = page.Objects.Sum(WireSize.Of);
            Expect.That(bytes < IoctlLimits.MaxPageBytes * 1.01, $"Page {pages} has {bytes} bytes.");
            Expect.That(page.Objects.Length > 0, $"Page {pages} has no object.");
            Expect.That(page.Objects.All(shown => shown.State is not null == withState), $"Page {pages} lacks the state of an object.");
            seen += page.Objects.Length;
            Expect.Equal(seen < 600, page.HasMore, $"whether there are more behind {seen}");
            (after, more) = (page.Objects[^1].Object.Id, page.HasMore);
        }

        Expect.Equal(600, seen, "objects of all pages");
        Expect.That(pages > 1, "One page had all of them.");
    }

    [Fact]
    public async Task References_and_holders_are_listed_up_to_64()
    {
        var entry = _context.Add();
        for (var i = 0; i < 100; i++)
        {
            _context.Hold(_context.Driver($"driver {i}"), entry.Id);
        }

        var shown = await InspectAsync(new InspectRequest(default, 1, WithState: false));
        Expect.Equal(
            (64, 64, 101L), (shown.References.Length, shown.Objects[0].Holders.Length, shown.Objects[0].Users),
            "references and holders listed, and users counted");
    }

    [Fact]
    public async Task An_object_that_is_under_construction_is_not_shown()
    {
        _context.Objects.Reserve(ObjectType.Ioas);
        var shown = await InspectAsync(new InspectRequest(default, 10, WithState: true));
        Expect.Equal((0L, 0), (shown.ObjectCount, shown.Objects.Length), "objects counted and shown");
    }

    [Fact]
    public async Task With_state_each_object_shows_its_own()
    {
        for (var i = 0; i < 200; i++)
        {
            _context.Add();
        }

        _context.RunOk(IommuCommand.Option, new IommuOption { OptionId = 1, Op = 0, ObjectId = 150, Val64 = 0 });
        var shown = await InspectAsync(new InspectRequest(default, 1000, WithState: true));
        Expect.Sequence(
            Enumerable.Range(1, 200).Select(id => id != 150), shown.Objects.Select(shown => Assert.IsType<IoasState>(shown.State).HugePages),
            "HUGE_PAGES of the objects");
    }

    // States are asked for while turns of the context go on: 64 at once, so that number 65 is asked for after one of them has answered.
    [Fact]
    public async Task An_object_that_goes_while_states_are_collected_shows_none()
    {
        for (uint id = 1; id <= 65; id++)
        {
            _context.Add();
            _context.RunOk(IommuCommand.Option, new IommuOption { OptionId = 1, Op = 0, ObjectId = id, Val64 = 0 });
        }

        var gate = new TaskCompletionSource();
        for (uint id = 1; id <= 64; id++)
        {
            _context.GrainOf(id).Gate = gate.Task;
        }

        var inspection = InspectAsync(new InspectRequest(default, 100, WithState: true));
        _context.RunOk(IommuCommand.Destroy, new IommuDestroy { Id = 65 });
        gate.SetResult();
        var shown = await inspection;
        Expect.Equal(false, Assert.IsType<IoasState>(shown.Objects[63].State).HugePages, "HUGE_PAGES of an object that stayed");
        Expect.Equal(null, shown.Objects[64].State, "the state of an object that was destroyed before its grain was asked");
    }

    [Fact]
    public async Task An_inspection_that_is_cancelled_stops_asking_for_states()
    {
        _context.Add();
        await Assert.ThrowsAsync<OperationCanceledException>(()
            => ContextInspector.InspectAsync(
                _context.Model, _context.ObjectGrains, "silo", new InspectRequest(default, 10, true), new CancellationToken(canceled: true)));
    }

    private Task<ContextInspection> InspectAsync(InspectRequest request)
        => ContextInspector.InspectAsync(_context.Model, _context.ObjectGrains, "silo", request, CancellationToken.None);
}
