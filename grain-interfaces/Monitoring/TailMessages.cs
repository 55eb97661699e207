using IommuFd.Uapi;

namespace IommuFd.GrainInterfaces;

// What people see of one context: its last ioctls, and why an object of it is busy; and what an operator can do about it.

/// <summary>An ioctl that a context has answered.</summary>
[GenerateSerializer, Immutable, Alias("IommuFd.RecordedIoctl")]
public sealed record RecordedIoctl
{
    /// <summary>The most bytes of an argument that are kept.</summary>
    public const int MaxArgumentBytes = 256;

    /// <summary>Its number: 1 for the first since the context came to its silo, and 1 more for each.</summary>
    [Id(0)]
    public long Number { get; init; }

    /// <summary>When it was answered (UTC).</summary>
    [Id(1)]
    public DateTime Time { get; init; }

    /// <summary>
    /// How long its turn took, in nanoseconds, the journal included; of an ioctl in a batch, its part. -1 where it was not timed: it was answered without waiting for anything
    /// else, which takes some microseconds, and nobody was looking.
    /// </summary>
    [Id(2)]
    public long Nanoseconds { get; init; }

    /// <summary>The full ioctl number.</summary>
    [Id(3)]
    public uint Command { get; init; }

    /// <summary>The argument as it was sent: the first <see cref="MaxArgumentBytes"/> of it.</summary>
    [Id(4)]
    public byte[] Argument { get; init; } = [];

    /// <summary>The argument as it was answered, likewise; empty where nothing was to be copied back.</summary>
    [Id(5)]
    public byte[] Answer { get; init; } = [];

    /// <summary>The errno; 0 for success.</summary>
    [Id(6)]
    public Errno Errno { get; init; }

    /// <summary>Why it failed; null on success.</summary>
    [Id(7)]
    public IoctlDiagnostic? Diagnostic { get; init; }
}

/// <summary>Asks for the last ioctls of a context.</summary>
/// <param name="After">Only those with greater numbers; 0 for all that are kept, -1 for none, to learn where the end is.</param>
/// <param name="Activation">The <see cref="TailReply.Activation"/> that <paramref name="After"/> is from; 0 for none.</param>
/// <param name="Limit">At most so many, the latest; 1 to <see cref="MaxLimit"/>; more are cut to that.</param>
[GenerateSerializer, Immutable, Alias("IommuFd.TailRequest")]
public sealed record TailRequest([property: Id(0)] long After, [property: Id(1)] long Activation, [property: Id(2)] int Limit)
{
    /// <summary>The most ioctls of one reply.</summary>
    public const int MaxLimit = 4096;
}

/// <summary>The last ioctls of a context.</summary>
/// <param name="Errno">0; EBADF without such a context.</param>
/// <param name="Activation">Names this life of the context on its silo. After a failover it is another, and numbers begin anew.</param>
/// <param name="Last">The number of the context's last ioctl.</param>
/// <param name="Missed">Ioctls after those asked for that are not kept any more, or were more than asked for.</param>
/// <param name="Ioctls">The ioctls, oldest first.</param>
[GenerateSerializer, Immutable, Alias("IommuFd.TailReply")]
public sealed record TailReply(
    [property: Id(0)] Errno Errno, [property: Id(1)] long Activation, [property: Id(2)] long Last, [property: Id(3)] long Missed, [property: Id(4)] RecordedIoctl[] Ioctls);
