using IommuFd.Grains.Model;
using IommuFd.Uapi;

namespace IommuFd.Grains.Calls;

/// <summary>What a handler works on.</summary>
internal readonly record struct IoctlScope(ContextModel Context, ObjectGrains Grains)
{
    /// <summary>Takes an object that nobody holds out of the table, drops what it holds, and ends its grain.</summary>
    public ValueTask RemoveAsync(ObjectEntry entry)
    {
        var errno = Context.Remove(entry.Id.Value, out var removed);
        return errno == Errno.None && removed == entry
            ? Grains.DestroyAsync(entry)
            : throw new InvalidOperationException($"{entry.Ref} can't be taken out: {errno}, users {entry.Users}.");
    }
}
