using IommuFd.Uapi;

namespace IommuFd.GrainInterfaces;

/// <summary>Bytes to write to one of the caller's buffers.</summary>
/// <param name="Address">Where they go.</param>
/// <param name="Content">The bytes.</param>
[GenerateSerializer, Immutable, Alias("IommuFd.UserBufferWrite")]
public sealed record UserBufferWrite([property: Id(0)] ulong Address, [property: Id(1)] byte[] Content)
{
    /// <summary>
    /// Whether the content's bits are ORed into the buffer instead of replacing its bytes, as for a dirty bitmap. Inaccessible bytes are
    /// skipped.
    /// </summary>
    [Id(2)]
    public bool IsOr { get; init; }

    /// <summary>Zero bytes to write behind the content.</summary>
    [Id(3)]
    public uint ZeroBytes { get; init; }
}

/// <summary>A copy between memory behind IOVAs and a buffer. The caller's side makes it: the service touches no memory.</summary>
/// <param name="Buffer">The buffer's address.</param>
/// <param name="Memory">The memory, piece by piece in the buffer's order.</param>
/// <param name="IsWrite">Whether bytes go from the buffer to the memory.</param>
[GenerateSerializer, Immutable, Alias("IommuFd.UserCopy")]
public sealed record UserCopy([property: Id(0)] ulong Buffer, [property: Id(1)] UserMemoryPiece[] Memory, [property: Id(2)] bool IsWrite);

/// <summary>The reply to an ioctl. The errno, the return value and the bytes are the contract; the diagnostic is for people.</summary>
[GenerateSerializer, Immutable, OmitDefaultMemberValues, Alias("IommuFd.IoctlReply")]
public sealed class IoctlReply
{
    /// <summary>Success with nothing to copy back. Replies are immutable, so all such ioctls share it.</summary>
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

    /// <summary>A file to give a descriptor; null for none.</summary>
    [Id(5)]
    public NewFile? File { get; init; }

    /// <summary>A copy to make before the reply counts as success, EFAULT if it fails; null for none.</summary>
    [Id(6)]
    public UserCopy? Copy { get; init; }

    /// <summary>How many failure points the ioctl has passed, the one at which it failed included; 0 for a request without a fault.</summary>
    [Id(7)]
    public uint FailurePoints { get; init; }

    /// <summary>The same, with the failure points that were passed.</summary>
    internal IoctlReply With(uint failurePoints) => new()
    {
        Errno = Errno,
        ReturnValue = ReturnValue,
        Argument = Argument,
        Buffers = Buffers,
        Diagnostic = Diagnostic,
        File = File,
        Copy = Copy,
        FailurePoints = failurePoints,
    };

    /// <summary>The same, with another diagnostic.</summary>
    internal IoctlReply With(IoctlDiagnostic diagnostic) => new()
    {
        Errno = Errno,
        ReturnValue = ReturnValue,
        Argument = Argument,
        Buffers = Buffers,
        Diagnostic = diagnostic,
        File = File,
        Copy = Copy,
        FailurePoints = FailurePoints,
    };
}
