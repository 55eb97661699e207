using IommuFd.GrainInterfaces;
using IommuFd.Grains.Encoding;
using IommuFd.Grains.Model;
using Orleans.Concurrency;

namespace IommuFd.Grains.Calls;

/// <summary>How an object's grain is asked to end an object.</summary>
internal enum DestroyMode
{
    /// <summary>Only where its users count is 1: EBUSY otherwise, and nothing changes.</summary>
    IfUnused = 0,

    /// <summary>In any case: its context is released, or the driver that made it ends it.</summary>
    Release,
}

/// <summary>What an object's grain shows of an object.</summary>
/// <param name="State">The state; null for kinds whose state stands in the context's table.</param>
/// <param name="Users">The users count that the grain derives.</param>
[GenerateSerializer, Immutable, Alias("IommuFd.ObjectReading")]
internal readonly record struct ObjectReading([property: Id(0)] ObjectState? State, [property: Id(1)] long Users);

/// <summary>
/// An object of a context, and the parts of it that are objects themselves. Its key is that of the context, a slash and the id; only its context calls it, and it
/// calls no grain. The context's table names who holds it and why; the grain has what the object is for, and derives from that how many
/// users the object must have.
/// </summary>
[Alias("IommuFd.IObjectGrain")]
internal interface IObjectGrain : IGrainWithStringKey
{
    /// <summary>Ends this life of the object, or a part of it, and forgets its state. Ending it twice, or after a later life began, does nothing.</summary>
    /// <param name="stamp">The life to end.</param>
    /// <param name="part">The part; 0 for the object itself.</param>
    /// <param name="mode">Whether it may be in use.</param>
    /// <returns>EBUSY where it is in use and must not be; the value is its users count then.</returns>
    [Alias("Destroy")]
    ValueTask<ObjectReply> DestroyAsync(ObjectStamp stamp, ObjectId part, DestroyMode mode);

    /// <summary>The users count that follows from what the grain has: 1 for the table, and 1 for each holder.</summary>
    /// <param name="stamp">The life that is meant.</param>
    /// <param name="part">The part; 0 for the object itself.</param>
    /// <returns>The count; null where the grain does not have this life or part.</returns>
    [Alias("Users")]
    [AlwaysInterleave]
    ValueTask<long?> UsersAsync(ObjectStamp stamp, ObjectId part);

    /// <summary>Counts a hold on the object or a part that leaves no other trace in the grain: one that a driver has taken by name, or an object's.</summary>
    /// <param name="stamp">The life that is meant.</param>
    /// <param name="part">The part; 0 for the object itself.</param>
    /// <returns>ENOENT where there is no such part, EIO where the grain does not have this life.</returns>
    [Alias("Hold")]
    ValueTask<ObjectReply> HoldAsync(ObjectStamp stamp, ObjectId part);

    /// <summary>Counts such a hold no more.</summary>
    /// <param name="stamp">The life that is meant.</param>
    /// <param name="part">The part; 0 for the object itself.</param>
    /// <returns>EIO where the grain does not have this life, or counts no such hold.</returns>
    [Alias("Drop")]
    ValueTask<ObjectReply> DropAsync(ObjectStamp stamp, ObjectId part);

    /// <summary>Shows the object or a part. Interleaves with a running turn and changes nothing.</summary>
    /// <param name="stamp">The life that is meant.</param>
    /// <param name="page">Which part, and which page of a long list.</param>
    /// <returns>What is to be seen; null where the grain does not have this life or part.</returns>
    [Alias("Inspect")]
    [AlwaysInterleave]
    ValueTask<ObjectReading?> InspectAsync(ObjectStamp stamp, StatePage page);

    /// <summary>Saves the whole state, for the context's snapshot.</summary>
    /// <param name="stamp">The life that is meant.</param>
    /// <returns>The state; null where the grain does not have this life.</returns>
    [Alias("Snapshot")]
    ValueTask<ObjectSnapshot?> SnapshotAsync(ObjectStamp stamp);

    /// <summary>Begins a life with a saved state.</summary>
    /// <param name="stamp">The life: a later one than any before.</param>
    /// <param name="snapshot">The state.</param>
    /// <returns>EIO where it is not a later life.</returns>
    /// <exception cref="InvalidDataException">It is no state of this kind of object, or one that makes no sense.</exception>
    [Alias("Restore")]
    ValueTask<ObjectReply> RestoreAsync(ObjectStamp stamp, ObjectSnapshot snapshot);
}
