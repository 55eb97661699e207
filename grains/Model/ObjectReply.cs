using IommuFd.GrainInterfaces;
using IommuFd.Grains.IoPagetable.Pins;
using IommuFd.Uapi;

namespace IommuFd.Grains.Model;

/// <summary>What an object answers its context.</summary>
/// <typeparam name="TSelf">The reply itself.</typeparam>
internal interface IObjectReply<TSelf>
    where TSelf : struct, IObjectReply<TSelf>
{
    /// <summary>0 on success; EIO where the object's grain does not have the life that was meant.</summary>
    Errno Errno { get; }

    /// <summary>Why it failed; null on success.</summary>
    IoctlDiagnostic? Diagnostic { get; }

    /// <summary>The areas and ranges that the object has now, where it tells.</summary>
    int? Size { get; }

    /// <summary>What the object has pinned now, where that has changed; null where it has not.</summary>
    PinTally? Pinned { get; }

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
/// <param name="Pinned">Of an IOAS: what it has pinned now, where that has changed.</param>
[GenerateSerializer, Immutable, Alias("IommuFd.ObjectReply")]
internal readonly record struct ObjectReply(
    [property: Id(0)] Errno Errno,
    [property: Id(1)] ulong Value,
    [property: Id(2)] IoctlDiagnostic? Diagnostic = null,
    [property: Id(3)] int Size = 0,
    [property: Id(4)] PinTally? Pinned = null) : IObjectReply<ObjectReply>
{
    int? IObjectReply<ObjectReply>.Size => Size;

    /// <inheritdoc/>
    public static ObjectReply Failed(Errno errno, IoctlDiagnostic? diagnostic) => new(errno, 0, diagnostic);
}
