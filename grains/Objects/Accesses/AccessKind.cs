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

    public override BusyStepKind? EndedByDriver => BusyStepKind.DestroyAccess;

    public override ObjectEntry? AggregateOf(ObjectEntry entry) => ((AccessEntry)entry).Ioas;

    public override ObjectEntry Restore(ContextModel context, ObjectId id, long serial, EntrySnapshot? snapshot) => AccessEntry.Restore(context, id, serial, snapshot);

    public override ObjectState Describe(ObjectEntry entry) => ((AccessEntry)entry).Describe();

    public override ObjectState Complete(ObjectEntry entry, ObjectState state) => AccessHandlers.Complete((AccessEntry)entry, (AccessState)state);

    /// <summary>Its driver detaches it. One that is a program's file goes when the program closes that.</summary>
    public override HoldRelease ReleaseOf(ObjectEntry holder, Hold hold)
        => holder is AccessEntry { DriverHold.Owner: ContextReference { Session: 0, Name: AccessHandlers.FileName } }
            ? new HoldRelease(BusyStepKind.DestroyAccess, HoldReleaseEffect.EndHolder, holder)
            : new HoldRelease(BusyStepKind.DetachAccess, HoldReleaseEffect.Drop, holder);

    public override ValueTask EndForDriverAsync(IoctlScope scope, ObjectEntry entry) => AccessHandlers.DestroyAsync(scope, (AccessEntry)entry);
}
