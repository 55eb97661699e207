using IommuFd.Uapi;

namespace IommuFd.GrainInterfaces;

/// <summary>Bytes for a user buffer of the caller's.</summary>
/// <param name="Address">Where they go.</param>
/// <param name="Content">The bytes.</param>
[GenerateSerializer, Immutable, Alias("IommuFd.UserBufferWrite")]
public sealed record UserBufferWrite([property: Id(0)] ulong Address, [property: Id(1)] byte[] Content);

/// <summary>What an ioctl answered. The errno, the return value and the bytes are the contract; the diagnostic is for people.</summary>
[GenerateSerializer, Immutable, Alias("IommuFd.IoctlReply")]
public sealed class IoctlReply
{
    /// <summary>Success with nothing to copy back. Replies are immutable, so that all such ioctls share it.</summary>
    public static readonly IoctlReply Success = new();

    /// <summary>0 on success.</summary>
    [Id(0)]
    public Errno Errno { get; init; }

    /// <summary>What the system call returns on success; 0 for most commands.</summary>
    [Id(1)]
    public int ReturnValue { get; init; }

    /// <summary>Bytes to copy to the start of the argument; null for none. Some commands copy back on failure too.</summary>
    [Id(2)]
    public byte[]? Argument { get; init; }

    /// <summary>Bytes to copy to user buffers; null for none.</summary>
    [Id(3)]
    public UserBufferWrite[]? Buffers { get; init; }

    /// <summary>Why it failed; null on success.</summary>
    [Id(4)]
    public IoctlDiagnostic? Diagnostic { get; init; }
}

/// <summary>What a batch answered.</summary>
[GenerateSerializer, Immutable, Alias("IommuFd.IoctlBatchReply")]
public sealed class IoctlBatchReply
{
    /// <summary>0, or why no ioctl of the batch ran: EBADF without a context, E2BIG for more ioctls than <see cref="IoctlLimits.MaxBatch"/>.</summary>
    [Id(0)]
    public Errno Errno { get; init; }

    /// <summary>One reply for each ioctl that ran, in order. Shorter than the request where it stopped at an error.</summary>
    [Id(1)]
    public IoctlReply[] Replies { get; init; } = [];

    /// <summary>Why no ioctl of the batch ran; null where they ran.</summary>
    [Id(2)]
    public IoctlDiagnostic? Diagnostic { get; init; }
}
