using IommuFd.Uapi;

namespace IommuFd.GrainInterfaces;

// What people see of one context's last ioctls.

/// <summary>An ioctl that a context answered.</summary>
[GenerateSerializer, Immutable, Alias("IommuFd.RecordedIoctl")]
public sealed record RecordedIoctl
{
    /// <summary>The maximum bytes of an argument that are kept.</summary>
    public const int MaxArgumentBytes = 256;

    /// <summary>Its number: 1 for the first since the context's activation on its silo, and 1 more for each next.</summary>
    [Id(0)]
    public long Number { get; init; }

    /// <summary>When it was answered (UTC).</summary>
    [Id(1)]
    public DateTime Time { get; init; }

    /// <summary>
    /// How long its turn took in nanoseconds, including the journal; for an ioctl in a batch, its share. -1 if it was not timed: the tail
    /// was not watched, and the ioctl was answered without waiting for anything else, which takes a few microseconds.
    /// </summary>
    [Id(2)]
    public long Nanoseconds { get; init; }

    /// <summary>The full ioctl number.</summary>
    [Id(3)]
    public uint Command { get; init; }

    /// <summary>The argument as sent: its first <see cref="MaxArgumentBytes"/>.</summary>
    [Id(4)]
    public byte[] Argument { get; init; } = [];

    /// <summary>The argument as answered, likewise; empty if nothing was to be copied back.</summary>
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
/// <param name="After">Only ioctls with greater numbers; 0 for all that are kept, -1 for none, to learn the last number.</param>
/// <param name="Activation">The <see cref="TailReply.Activation"/> that <paramref name="After"/> is from; 0 for none.</param>
/// <param name="Limit">At most this many, the latest; 1 to <see cref="MaxLimit"/>; more are cut to that, or to <see cref="IoctlLimits.MaxPageBytes"/>.</param>
[GenerateSerializer, Immutable, Alias("IommuFd.TailRequest")]
public sealed record TailRequest([property: Id(0)] long After, [property: Id(1)] long Activation, [property: Id(2)] int Limit)
{
    /// <summary>The maximum number of ioctls in one reply.</summary>
    public const int MaxLimit = 4096;
}

/// <summary>The last ioctls of a context.</summary>
/// <param name="Errno">0; EBADF without such a context.</param>
/// <param name="Activation">Identifies the context's activation on its silo. A failover changes it and restarts the numbers.</param>
/// <param name="Last">The number of the context's last ioctl.</param>
/// <param name="Missed">Number of ioctls after <c>After</c> that are missing here, because they are no longer kept or exceed the
/// limit.</param>
/// <param name="Ioctls">The ioctls, oldest first.</param>
[GenerateSerializer, Immutable, Alias("IommuFd.TailReply")]
public sealed record TailReply(
    [property: Id(0)] Errno Errno, [property: Id(1)] long Activation, [property: Id(2)] long Last, [property: Id(3)] long Missed, [property: Id(4)] RecordedIoctl[] Ioctls);
