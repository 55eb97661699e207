using IommuFd.GrainInterfaces;
using IommuFd.Grains.Calls;
using IommuFd.Grains.Encoding;
using IommuFd.Grains.Model;
using IommuFd.Grains.Objects.Ioas;

namespace IommuFd.UnitTests.Support;

/// <summary>Objects for tests of the table itself, to which their kind does not matter.</summary>
internal static class Entries
{
    /// <summary>Reserves an object of a kind: an IOAS as handlers create it, or a bare entry of another kind.</summary>
    public static ObjectEntry? Reserve(this ObjectTable objects, ObjectType type)
        => objects.Reserve<ObjectEntry>((id, serial) => type == ObjectType.Ioas ? new IoasEntry(id, serial) : new TableEntry(id, new TableKind(type), serial));

    private sealed class TableEntry(ObjectId id, ObjectKind kind, long serial) : ObjectEntry(id, kind, serial);

    private sealed class TableKind(ObjectType type) : GrainKind
    {
        public override ObjectType Type => type;

        public override ObjectEntry? AggregateOf(ObjectEntry entry) => null;

        public override ObjectEntry Restore(ContextModel context, ObjectId id, long serial, EntrySnapshot? snapshot) => new TableEntry(id, this, serial);

        public override ObjectState Describe(ObjectEntry entry) => new SelftestState(entry.Id);

        public override string Summarize(ObjectEntry entry, ObjectState state) => "";

        public override ObjectFact[] FactsOf(ObjectEntry entry, ObjectState state) => [];
    }
}
