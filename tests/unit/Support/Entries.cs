using IommuFd.GrainInterfaces;
using IommuFd.Grains.Model;
using IommuFd.Grains.Objects.Ioas;

namespace IommuFd.UnitTests.Support;

/// <summary>Objects for tests of the table itself, to which their kind does not matter.</summary>
internal static class Entries
{
    /// <summary>Reserves an object of a kind: an IOAS as handlers create it, or a bare entry of another kind.</summary>
    public static ObjectEntry? Reserve(this ObjectTable objects, ObjectType type)
        => objects.Reserve<ObjectEntry>((id, serial) => type == ObjectType.Ioas ? new IoasEntry(id, serial) : new TableEntry(id, type, serial));

    private sealed class TableEntry(ObjectId id, ObjectType type, long serial) : ObjectEntry(id, type, serial);
}
