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
    /// <returns>The state; null where there is none of this life.</returns>
    [Alias("Inspect")]
    [AlwaysInterleave]
    ValueTask<ObjectState?> InspectAsync(ObjectStamp stamp);
}

/// <summary>An IO address space.</summary>
[Alias("IommuFd.IIoasGrain")]
public interface IIoasGrain : IObjectGrain
{
    /// <summary>Gets or sets <c>IOMMU_OPTION_HUGE_PAGES</c>.</summary>
    /// <param name="stamp">The life that is meant.</param>
    /// <param name="op">An <see cref="IommuOptionOp"/>, or anything else that a program may pass.</param>
    /// <param name="value">The value to set.</param>
    /// <returns>The errno and the value: EINVAL for a value other than 0 and 1, EOPNOTSUPP for an unknown op, EIO for a life that is not here.</returns>
    [Alias("HugePages")]
    ValueTask<OptionReply> HugePagesAsync(ObjectStamp stamp, IommuOptionOp op, ulong value);
}

/// <summary>What an object answers its context.</summary>
/// <typeparam name="TSelf">The reply itself.</typeparam>
public interface IObjectReply<TSelf>
    where TSelf : struct, IObjectReply<TSelf>
{
    /// <summary>0 on success; EIO where the object's grain does not have the life that was meant.</summary>
    Errno Errno { get; }

    /// <summary>A reply that has nothing but an errno.</summary>
    /// <param name="errno">The errno.</param>
    /// <returns>The reply.</returns>
    static abstract TSelf Failed(Errno errno);
}

/// <summary>What an option of an object answered.</summary>
/// <param name="Errno">0 on success.</param>
/// <param name="Value">The value got; after a set, the value set.</param>
[GenerateSerializer, Immutable, Alias("IommuFd.OptionReply")]
public readonly record struct OptionReply([property: Id(0)] Errno Errno, [property: Id(1)] ulong Value) : IObjectReply<OptionReply>
{
    /// <inheritdoc/>
    public static OptionReply Failed(Errno errno) => new(errno, 0);
}

/// <summary>What an IOAS knows of itself.</summary>
/// <param name="HugePages">Whether contiguous pages may be combined.</param>
[GenerateSerializer, Immutable, Alias("IommuFd.IoasState")]
public sealed record IoasState([property: Id(0)] bool HugePages) : ObjectState;
