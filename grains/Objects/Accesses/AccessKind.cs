using IommuFd.GrainInterfaces;
using IommuFd.Grains.Calls;
using IommuFd.Grains.Encoding;
using IommuFd.Grains.Model;

namespace IommuFd.Grains.Objects.Accesses;

/// <summary>Accesses of drivers. An access's pins are a part of its IOAS's grain.</summary>
internal sealed class AccessKind : GrainKind
{
    public static readonly AccessKind Instance = new();

    public override ObjectType Type => ObjectType.Access;

    public override DrawingStyle Style => DrawingStyle.Access;

    public override BusyStepKind? EndedByDriver => BusyStepKind.DestroyAccess;

    public override ObjectEntry? AggregateOf(ObjectEntry entry) => ((AccessEntry)entry).Ioas;

    public override ObjectEntry Restore(ContextModel context, ObjectId id, long serial, EntrySnapshot? snapshot) => AccessEntry.Restore(context, id, serial, snapshot);

    public override ObjectState Describe(ObjectEntry entry) => ((AccessEntry)entry).Describe();

    public override ObjectState Complete(ObjectEntry entry, ObjectState state) => AccessHandlers.Complete((AccessEntry)entry, (AccessState)state);

    /// <summary>Its driver detaches it. One that is a program's file goes when the program closes that, one of an object with the object.</summary>
    public override HoldRelease ReleaseOf(ObjectEntry holder, Hold hold)
        => holder is AccessEntry { DriverHold.Owner: ObjectEntry owner } ? HoldRelease.ByDestroying(owner)
            : holder is AccessEntry { DriverHold.Owner: ContextReference { IsOpenedFile: true } }
            ? new HoldRelease(BusyStepKind.DestroyAccess, HoldReleaseEffect.EndHolder, holder)
            : new HoldRelease(BusyStepKind.DetachAccess, HoldReleaseEffect.Drop, holder);

    public override ValueTask EndForDriverAsync(IoctlScope scope, ObjectEntry entry) => AccessHandlers.DestroyAsync(scope, (AccessEntry)entry);

    public override string Summarize(ObjectEntry entry, ObjectState state)
    {
        var access = (AccessState)state;
        return access.Ioas == default ? "not attached" : $"attached to IOAS {access.Ioas}{(access.Pins == 0 ? "" : $", {Pins(access)}")}";
    }

    public override ObjectFact[] FactsOf(ObjectEntry entry, ObjectState state)
    {
        var access = (AccessState)state;
        return
        [
            new("made by", ((AccessEntry)entry).MadeBy),
            new("attached to", access.Ioas == default ? "nothing" : $"IOAS {access.Ioas}"),
            new("can pin pages", access.NeedsPinPages ? "yes" : "no"),
            new("pins", access.Pins == 0 ? "none" : Pins(access)),
        ];
    }

    private static string Pins(AccessState access) => $"{Format.Count(access.Pins, "pin")} of {Format.Bytes(access.PinnedBytes)}";
}
