using IommuFd.Grains.Model;
using IommuFd.Uapi;

namespace IommuFd.Grains.Calls;

/// <summary>What a handler works on.</summary>
/// <param name="Context">The context.</param>
/// <param name="Grains">The grains of its objects.</param>
/// <param name="Asked">The programs that have mapped memory; null where nobody can ask them.</param>
internal readonly record struct IoctlScope(ContextModel Context, ObjectGrains Grains, ProgramMemory? Asked = null)
{
    /// <summary>The programs that have mapped memory.</summary>
    public ProgramMemory Programs => Asked ?? ProgramMemory.Unasked;

    /// <summary>ENOMEM where there is no room for more areas or ranges; success where there is.</summary>
    public OperationResult CheckRoom(long more) => Context.Objects.FailurePoints.Pass() is { Succeeded: false } failed ? failed : Grains.CheckRoom(more);

    /// <summary>Ends an object that its driver, or its last holder, takes with it: out of the table with what it holds, and its grain.</summary>
    public ValueTask EndAsync(ObjectEntry entry)
    {
        Remove(entry);
        return Grains.EndAsync(entry);
    }

    /// <summary>Takes an object out of the table that nothing holds, and drops what it holds.</summary>
    /// <param name="entry">The object.</param>
    /// <param name="leaveTombstone">Whether its id stays taken.</param>
    public void Remove(ObjectEntry entry, bool leaveTombstone = false)
    {
        var errno = Context.Remove(entry.Id.Value, out var removed, leaveTombstone);
        if (errno != Errno.None || removed != entry)
        {
            throw new InvalidOperationException($"{entry.Ref} can't be taken out: {errno}, users {entry.Users}.");
        }
    }
}
