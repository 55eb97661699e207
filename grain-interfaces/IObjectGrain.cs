using IommuFd.Uapi;
using Orleans.Concurrency;

namespace IommuFd.GrainInterfaces;

/// <summary>
/// Tells which life of an object a call is for. Ids are reused at once after a destroy, and so are grain keys; a stamp is never. Stamps of one key grow:
/// a later life has a greater one, so that a late call of an earlier life can do nothing.
/// </summary>
/// <param name="Epoch">The life of the context: greater in each later one.</param>
/// <param name="Serial">The life of the object within that of the context.</param>
/// <param name="MayBuild">Whether the object may be built by this call. False once a call has been answered: then missing state is lost state.</param>
[GenerateSerializer, Immutable, Alias("IommuFd.ObjectStamp")]
public readonly record struct ObjectStamp([property: Id(0)] long Epoch, [property: Id(1)] long Serial, [property: Id(2)] bool MayBuild);

/// <summary>
/// An object of a context. Its key is <c>handle/id</c>; only its context calls it, and it calls nobody. Its users count stands in the context's table,
/// where DESTROY decides; what it is an object for stands here.
/// </summary>
[Alias("IommuFd.IObjectGrain")]
public interface IObjectGrain : IGrainWithStringKey
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

/// <summary>The state of an object's grain, written down. Each kind of object has its record, which only its own grain reads.</summary>
[GenerateSerializer, Immutable, Alias("IommuFd.ObjectSnapshot")]
public abstract record ObjectSnapshot
{
    /// <summary>Whether it is the state of an object that was never called, so that there is no need to restore it.</summary>
    public abstract bool IsFirstState { get; }
}

/// <summary>What an object answers its context.</summary>
/// <typeparam name="TSelf">The reply itself.</typeparam>
public interface IObjectReply<TSelf>
    where TSelf : struct, IObjectReply<TSelf>
{
    /// <summary>0 on success; EIO where the object's grain does not have the life that was meant.</summary>
    Errno Errno { get; }

    /// <summary>Why it failed; null on success.</summary>
    IoctlDiagnostic? Diagnostic { get; }

    /// <summary>A reply that has nothing but an errno and its reason.</summary>
    /// <param name="errno">The errno.</param>
    /// <param name="diagnostic">The reason.</param>
    /// <returns>The reply.</returns>
    static abstract TSelf Failed(Errno errno, IoctlDiagnostic? diagnostic);
}

/// <summary>What an object answers where one number says it all.</summary>
/// <param name="Errno">0 on success.</param>
/// <param name="Value">An IOVA, a count of bytes or the value of an option, as the request says.</param>
/// <param name="Diagnostic">Why it failed; null on success.</param>
/// <param name="Size">Of an IOAS that was asked to change: the areas and the ranges, reserved and allowed, that it has now.</param>
[GenerateSerializer, Immutable, Alias("IommuFd.ObjectReply")]
public readonly record struct ObjectReply(
    [property: Id(0)] Errno Errno,
    [property: Id(1)] ulong Value,
    [property: Id(2)] IoctlDiagnostic? Diagnostic = null,
    [property: Id(3)] int Size = 0) : IObjectReply<ObjectReply>
{
    /// <inheritdoc/>
    public static ObjectReply Failed(Errno errno, IoctlDiagnostic? diagnostic) => new(errno, 0, diagnostic);
}

/// <summary>Which part of a long list in an object's state is asked for.</summary>
/// <param name="From">The first key that is wanted: of an IOAS, the first IOVA.</param>
/// <param name="Limit">At most so many entries, 0 to <see cref="IoctlLimits.MaxInspectionPage"/>; more are cut to that.</param>
/// <param name="Part">An object whose state stands in this one's, such as a HWPT's in its IOAS': that is asked for then. 0 for the object itself.</param>
[GenerateSerializer, Immutable, Alias("IommuFd.StatePage")]
public readonly record struct StatePage([property: Id(0)] ulong From, [property: Id(1)] int Limit, [property: Id(2)] ObjectId Part = default);
