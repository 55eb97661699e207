using IommuFd.GrainInterfaces;
using IommuFd.Grains.Encoding;
using IommuFd.Grains.Model;
using Orleans.Concurrency;

namespace IommuFd.Grains.Calls;

/// <summary>
/// An object of a context. Its key is <c>handle/id</c>; only its context calls it, and it calls nobody. Its users count stands in the context's table,
/// where DESTROY decides; what it is an object for stands here.
/// </summary>
[Alias("IommuFd.IObjectGrain")]
internal interface IObjectGrain : IGrainWithStringKey
{
    /// <summary>Ends this life of the object and forgets its state. Ending it twice, or after a later life began, does nothing.</summary>
    /// <param name="stamp">The life to end.</param>
    /// <returns>When the state is gone.</returns>
    [Alias("Destroy")]
    ValueTask DestroyAsync(ObjectStamp stamp);

    /// <summary>Shows the state. Interleaves with a running turn and changes nothing.</summary>
    /// <param name="stamp">The life that is meant.</param>
    /// <param name="page">Which part of a long list.</param>
    /// <returns>The state; null where there is none of this life.</returns>
    [Alias("Inspect")]
    [AlwaysInterleave]
    ValueTask<ObjectState?> InspectAsync(ObjectStamp stamp, StatePage page);

    /// <summary>Writes the whole state down, for the context's snapshot.</summary>
    /// <param name="stamp">The life that is meant.</param>
    /// <returns>The state; null where there is none of this life.</returns>
    [Alias("Snapshot")]
    ValueTask<ObjectSnapshot?> SnapshotAsync(ObjectStamp stamp);

    /// <summary>Begins a life with a state that was written down.</summary>
    /// <param name="stamp">The life: a later one than any before.</param>
    /// <param name="snapshot">The state.</param>
    /// <returns>EIO where it is not a later life.</returns>
    /// <exception cref="InvalidDataException">It is no state of this kind of object, or one that makes no sense.</exception>
    [Alias("Restore")]
    ValueTask<ObjectReply> RestoreAsync(ObjectStamp stamp, ObjectSnapshot snapshot);
}
