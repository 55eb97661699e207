using IommuFd.GrainInterfaces;
using IommuFd.Grains.Calls;
using IommuFd.Grains.Inspection;
using IommuFd.Grains.Model;
using IommuFd.Grains.Objects.Ioas;
using IommuFd.Uapi;
using IommuFd.UnitTests.Support;
using Microsoft.Extensions.Logging.Abstractions;

namespace IommuFd.UnitTests.Objects.OwnKind;

/// <summary>Adding a kind of object is a folder and a row: everything that the service does with objects works on one that it does not know.</summary>
public sealed class OwnKindTests
{
    private static readonly ObjectKinds Kinds = new([.. ObjectKinds.All.Kinds, DoorbellKind.Instance]);

    private readonly Dictionary<object, object> _grains = [];
    private readonly IGrainFactory _factory;
    private readonly OpenContext _context;
    private readonly IoasEntry _ioas;
    private readonly DoorbellEntry _bell;

    public OwnKindTests()
    {
        _factory = FakeGrainFactory.For((type, key) => _grains.TryGetValue(key, out var grain) ? grain
            : _grains[key] = type == typeof(IDoorbellGrain) ? new DoorbellGrain(FakeGrainContext.NewHost()) : new FakeIoas());
        _context = new OpenContext(_factory);
        _ioas = _context.Objects.Find<IoasEntry>(_context.AllocateIoas())!;
        _bell = _context.Objects.Reserve(static (id, serial) => new DoorbellEntry(id, serial))!;
        Hold.RefToUsers(_bell, _ioas, "ringing in it");
        _context.Objects.Finalize(_bell);
    }

    [Fact]
    public void It_is_in_no_list_of_the_service() => Expect.Equal(null, ObjectKinds.All.Find(DoorbellKind.Instance.Type), "the kind among those of the service");

    [Fact]
    public async Task DESTROY_knows_it_and_ends_its_grain()
    {
        await RingAsync();
        var busy = Destroy(_ioas).Fails(Errno.EBUSY, DiagnosticReason.ObjectHeld, "destroying the IOAS");
        Expect.Equal((DoorbellKind.Instance.Type, _bell.Id, "ringing in it"), (busy.Holders[0].Type, busy.Holders[0].Id, busy.Holders[0].Why), "who holds the IOAS");
        Expect.Equal(Errno.None, Destroy(_bell).Errno, "destroying the doorbell");
        Expect.Equal(null, await Grain.UsersAsync(new ObjectStamp(OpenContext.Epoch, _bell.Serial, false), default), "the doorbell by its grain");
        Expect.Equal(Errno.None, Destroy(_ioas).Errno, "destroying the IOAS without the doorbell");
    }

    [Fact]
    public async Task Its_grain_counts_its_users()
    {
        await RingAsync();
        var driver = _context.Driver();
        Expect.Equal(Errno.None, _context.Ask(driver, new HoldObjectRequest(_bell.Id, DoorbellKind.Instance.Type, "test")).Errno, "holding the doorbell");
        Expect.Equal((2L, 2L), (_bell.Users, await _context.ObjectGrains.UsersAsync(_bell)), "users by the table and by the grain");
    }

    [Fact]
    public async Task Why_busy_the_graph_and_an_inspection_show_it()
    {
        await RingAsync();
        var step = BusyExplainer.Explain(_context.Model, _ioas.Id).Steps.Single();
        Expect.Equal((BusyStepKind.Destroy, _bell.Ref), (step.Kind, step.Object), "what frees the IOAS");
        var graph = GraphWalker.Walk(_context.Model, new GraphRequest(_ioas.Id, GraphDirection.Holders, 10));
        Expect.That(graph.Nodes.Any(node => node.Object == _bell.Ref && node.Name == "front door"), "The graph does not show the doorbell.");
        var shown = (await ContextInspector.InspectObjectAsync(_context.Model, _context.ObjectGrains, _bell.Id, default))!;
        Expect.Equal((new DoorbellState(1), 1L), (shown.State, shown.GrainUsers), "the doorbell in an inspection");
        Expect.Equal(("front door", "rung 1 times"), (shown.Name, shown.Summary), "its name and summary");
        Expect.Sequence([new("users", "1, also by its grain"), new("rings", "1")], shown.Facts, "its facts");
    }

    [Fact]
    public async Task A_snapshot_has_it_and_its_grain()
    {
        await RingAsync();
        var snapshot = await ContextSnapshots.CaptureAsync(_context.Model, _context.ObjectGrains);
        _grains.Clear();
        var grains = new ObjectGrains(new ObjectReach(_factory, null), _context.Key, OpenContext.Epoch + 1, NullLogger.Instance);
        var again = await ContextSnapshots.RestoreAsync(snapshot, grains, Kinds);
        var bell = again.Objects.Find<DoorbellEntry>(_bell.Id.Value)!;
        Expect.Equal(_ioas.Id, bell.Held().Single().Target.Id, "what the restored doorbell holds");
        Expect.Equal(new DoorbellState(1), (await grains.InspectAsync(bell, default)).State, "the state of the restored doorbell");
    }

    [Fact]
    public void A_release_frees_it_before_what_it_holds()
    {
        var (destroyed, stuck) = _context.Objects.Release();
        Expect.Sequence([_bell.Ref, _ioas.Ref], destroyed.Select(entry => entry.Ref), "the order of the release");
        Expect.Sequence([], stuck, "objects that are stuck");
    }

    private IDoorbellGrain Grain => (IDoorbellGrain)_grains[$"{_context.Key}/{_bell.Id}"];

    private IoctlReply Destroy(ObjectEntry entry) => _context.Run(IommuCommand.Destroy, new IommuDestroy { Id = entry.Id.Value });

    private async Task RingAsync()
        => Expect.Equal(1UL, (await _context.ObjectGrains.CallAsync<IDoorbellGrain, int, ObjectReply>(_bell, 0, static (grain, stamp, _) => grain.RingAsync(stamp))).Value, "rings");
}
