using IommuFd.GrainInterfaces;
using IommuFd.Grains.Calls;
using IommuFd.Grains.Encoding;
using IommuFd.Grains.Model;

namespace IommuFd.UnitTests.Objects.OwnKind;

// A kind of object that exists in these tests alone, in one folder, as a kind of the service is in its own. Doorbells hold an IOAS, and
// listeners hold doorbells' bells, which is what their grains count.

internal sealed class DoorbellKind : GrainKind
{
    public static readonly DoorbellKind Instance = new();

    public override ObjectType Type => (ObjectType)200;

    public override IObjectGrain FindGrain(IGrainFactory factory, string key) => factory.GetGrain<IDoorbellGrain>(key);

    public override ObjectEntry Restore(ContextModel context, ObjectId id, long serial, EntrySnapshot? snapshot) => new DoorbellEntry(id, serial);

    public override ObjectState Describe(ObjectEntry entry) => new DoorbellState(0);

    public override string Summarize(ObjectEntry entry, ObjectState state) => $"rung {((DoorbellState)state).Rings} times";

    public override ObjectFact[] FactsOf(ObjectEntry entry, ObjectState state) => [new("rings", $"{((DoorbellState)state).Rings}")];
}

internal sealed class DoorbellEntry(ObjectId id, long serial) : ObjectEntry(id, DoorbellKind.Instance, serial)
{
    public override string Name => "front door";

    public override void Relink(EntrySnapshot? snapshot) => SnapshotFormat.Require(FirstHeld is { NextHeld: null }, "A doorbell holds more than one IOAS.");
}

[Alias("IommuFd.UnitTests.IDoorbellGrain")]
internal interface IDoorbellGrain : IObjectGrain
{
    [Alias("Ring")]
    ValueTask<ObjectReply> RingAsync(ObjectStamp stamp);
}

internal sealed class DoorbellModel
{
    public int Rings { get; set; }

    public int Listeners { get; set; }
}

internal sealed class DoorbellGrain(ObjectHost? host) : ObjectGrain<DoorbellModel>(host), IDoorbellGrain
{
    public ValueTask<ObjectReply> RingAsync(ObjectStamp stamp)
        => Enter(stamp) is { } model ? Reply(new ObjectReply(default, (ulong)++model.Rings)) : Lost<ObjectReply>();

    protected override DoorbellModel Build(ObjectStamp stamp) => new();

    protected override ObjectSnapshot Snapshot(DoorbellModel model) => new DoorbellSnapshot(model.Rings);

    protected override DoorbellModel Restore(ObjectStamp stamp, ObjectSnapshot snapshot) => new() { Rings = SnapshotFormat.Expect<DoorbellSnapshot>(snapshot).Rings };

    protected override long? Holders(DoorbellModel model, ObjectId part) => part == default ? model.Listeners : null;

    protected override ObjectState Inspect(DoorbellModel model, StatePage page) => new DoorbellState(model.Rings);
}

[GenerateSerializer, Immutable, Alias("IommuFd.UnitTests.DoorbellSnapshot")]
internal sealed record DoorbellSnapshot([property: Id(0)] int Rings) : ObjectSnapshot
{
    public override bool IsFirstState => Rings == 0;
}

[GenerateSerializer, Immutable, Alias("IommuFd.UnitTests.DoorbellState")]
internal sealed record DoorbellState([property: Id(0)] int Rings) : ObjectState;
