namespace IommuFd.GrainInterfaces;

// An ioctl as it travels. The caller's side copies in and reports facts about its memory; it decides nothing, so that every
// errno is decided in one place. All sizes are bounded here, whatever the caller's struct claims.

/// <summary>How large requests may be. Beyond these bounds the caller's side describes memory instead of sending it, and the service refuses.</summary>
public static class IoctlLimits
{
    /// <summary>Bytes of an argument that travel. Bytes behind them are described by <see cref="ArgumentTail"/>; the largest struct of the ABI has 72.</summary>
    public const int MaxArgumentBytes = 4096;

    /// <summary>Bytes of one user buffer that travel.</summary>
    public const int MaxBufferBytes = 1 << 20;

    /// <summary>Ioctls in one batch.</summary>
    public const int MaxBatch = 4096;

    /// <summary>Holders, references or released objects that one reply lists. Their full count travels beside the list.</summary>
    public const int MaxListed = 64;

    /// <summary>References that a context can have at once: files, drivers and files that ioctls opened.</summary>
    public const int MaxReferences = 65_536;

    /// <summary>Requests of one session that can be under way at once: answers that are kept until they are settled.</summary>
    public const int MaxUnsettled = 256;

    /// <summary>Characters of a name that a caller gives to a reference or a hold.</summary>
    public const int MaxNameLength = 128;

    /// <summary>Reserved regions of one device.</summary>
    public const int MaxReservedRegions = 256;

    /// <summary>Bytes that one copy or pin of an access can have, as in Linux's selftest.</summary>
    public const ulong MaxAccessBytes = 16 << 20;

    /// <summary>Objects that one page of an inspection lists.</summary>
    public const int MaxInspectionPage = 10_000;
}

/// <summary>What is behind the bytes of an argument that travel, up to the size that its first u32 says.</summary>
public enum ArgumentTail
{
    /// <summary>Nothing, or zero bytes only.</summary>
    Zero = 0,

    /// <summary>A byte that is not zero, before any that can't be read.</summary>
    NonZero,

    /// <summary>A byte that can't be read, before any that is not zero.</summary>
    Faulted,
}

/// <summary>A user buffer that the command's descriptor names, as found in the caller's memory.</summary>
[GenerateSerializer, Immutable, Alias("IommuFd.UserBuffer")]
public sealed class UserBuffer
{
    /// <summary>Which of the descriptor's buffers it is.</summary>
    [Id(0)]
    public byte Index { get; init; }

    /// <summary>Where the caller's argument says the buffer is.</summary>
    [Id(1)]
    public ulong Address { get; init; }

    /// <summary>Bytes that the caller's argument says it has.</summary>
    [Id(2)]
    public ulong Length { get; init; }

    /// <summary>Leading bytes that can be read.</summary>
    [Id(3)]
    public ulong ReadableBytes { get; init; }

    /// <summary>Leading bytes that can be written.</summary>
    [Id(4)]
    public ulong WritableBytes { get; init; }

    /// <summary>The first readable bytes, at most <see cref="IoctlLimits.MaxBufferBytes"/>; empty where the command does not read the buffer.</summary>
    [Id(5)]
    public byte[] Content { get; init; } = [];
}

/// <summary>A file that an argument names by its descriptor, as found with the caller.</summary>
/// <param name="Identity">Tells files apart: two descriptors of one file have equal identities.</param>
/// <param name="IsMemfd">Whether it is memory (a memfd), which can be pinned.</param>
/// <param name="LengthBytes">Its length.</param>
[GenerateSerializer, Immutable, Alias("IommuFd.UserFile")]
public sealed record UserFile([property: Id(0)] string Identity, [property: Id(1)] bool IsMemfd, [property: Id(2)] ulong LengthBytes)
{
    /// <summary>The access that the file is, if it is one.</summary>
    [Id(3)]
    public AccessFile? Access { get; init; }
}

/// <summary>What a file that <c>IOMMU_TEST_OP_CREATE_ACCESS</c> has opened leads to.</summary>
/// <param name="Context">The context that the access belongs to.</param>
/// <param name="Reference">The file's reference to the context; putting it destroys the access.</param>
/// <param name="Access">The access.</param>
[GenerateSerializer, Immutable, Alias("IommuFd.AccessFile")]
public sealed record AccessFile([property: Id(0)] ContextHandle Context, [property: Id(1)] ReferenceId Reference, [property: Id(2)] ObjectId Access);

/// <summary>One ioctl, with everything of the caller's memory that it needs.</summary>
[GenerateSerializer, Immutable, Alias("IommuFd.IoctlRequest")]
public sealed class IoctlRequest
{
    /// <summary>The full ioctl number: anything that a program may pass.</summary>
    [Id(0)]
    public uint Command { get; init; }

    /// <summary>
    /// The leading bytes of the argument that can be read: as many as its first u32 says, at most <see cref="IoctlLimits.MaxArgumentBytes"/>.
    /// Fewer than four mean that not even that u32 can be read.
    /// </summary>
    [Id(1)]
    public byte[] Argument { get; init; } = [];

    /// <summary>What is behind <see cref="Argument"/>.</summary>
    [Id(2)]
    public ArgumentTail Tail { get; init; }

    /// <summary>Leading bytes of the argument that can be written, at most as many as its first u32 says.</summary>
    [Id(3)]
    public uint WritableBytes { get; init; }

    /// <summary>Those buffers of the command's descriptor that have a length; null where there is none. One that is missing reads as unreadable.</summary>
    [Id(4)]
    public UserBuffer[]? Buffers { get; init; }

    /// <summary>The open file that the argument names; null where it names none, or one that isn't open.</summary>
    [Id(5)]
    public UserFile? File { get; init; }

    /// <summary>The request's name. Not looked at within a batch, which has its own.</summary>
    [Id(6)]
    public OperationId Operation { get; init; }

    /// <summary>The same request under a name.</summary>
    /// <param name="operation">The name.</param>
    /// <returns>The request.</returns>
    public IoctlRequest Named(OperationId operation) => new()
    {
        Command = Command,
        Argument = Argument,
        Tail = Tail,
        WritableBytes = WritableBytes,
        Buffers = Buffers,
        File = File,
        Operation = operation,
    };
}

/// <summary>Several ioctls that run in one turn, in order, with nothing of others between them.</summary>
[GenerateSerializer, Immutable, Alias("IommuFd.IoctlBatchRequest")]
public sealed class IoctlBatchRequest
{
    /// <summary>The ioctls, at most <see cref="IoctlLimits.MaxBatch"/>.</summary>
    [Id(0)]
    public IoctlRequest[] Requests { get; init; } = [];

    /// <summary>Whether the first that fails is the last that runs.</summary>
    [Id(1)]
    public bool StopAtFirstError { get; init; }

    /// <summary>The batch's name.</summary>
    [Id(2)]
    public OperationId Operation { get; init; }
}
