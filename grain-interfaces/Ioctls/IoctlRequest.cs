namespace IommuFd.GrainInterfaces;

// An ioctl as it travels. The caller's side copies in and reports facts about its memory; it decides nothing, so every errno is decided in
// one place. All sizes are bounded here, whatever the caller's struct claims.

/// <summary>One ioctl, with all that it needs of the caller's memory.</summary>
[GenerateSerializer, Immutable, OmitDefaultMemberValues, Alias("IommuFd.IoctlRequest")]
public sealed class IoctlRequest
{
    /// <summary>The full ioctl number: anything that a program may pass.</summary>
    [Id(0)]
    public uint Command { get; init; }

    /// <summary>
    /// The leading readable bytes of the argument: as many as its first u32 says, at most <see cref="IoctlLimits.MaxArgumentBytes"/>. Fewer
    /// than four mean that not even that u32 can be read.
    /// </summary>
    [Id(1)]
    public byte[] Argument { get; init; } = [];

    /// <summary>What lies behind <see cref="Argument"/>.</summary>
    [Id(2)]
    public ArgumentTail Tail { get; init; }

    /// <summary>Leading bytes of the argument that can be written, at most as many as its first u32 says.</summary>
    [Id(3)]
    public uint WritableBytes { get; init; }

    /// <summary>
    /// The buffers of the command's descriptor that have a length; null if there are none. A missing one counts as unreadable.
    /// </summary>
    [Id(4)]
    public UserBuffer[]? Buffers { get; init; }

    /// <summary>The open file that the argument names; null if it names none, or one that isn't open.</summary>
    [Id(5)]
    public UserFile? File { get; init; }

    /// <summary>
    /// The memory that the ioctl maps or compares, for the service to ask about later; null where what the request says of it stays true:
    /// the SDK keeps what its typed methods map.
    /// </summary>
    [Id(7)]
    public MemorySource? Memory { get; init; }

    /// <summary>Where the ioctl is to fail; null for nowhere.</summary>
    [Id(8)]
    public FaultInjection? Fault { get; init; }

    /// <summary>What the caller may not do.</summary>
    [Id(9)]
    public CallerLimits Limits { get; init; }

    /// <summary>
    /// The request's name as earlier versions carried it: within the request. It is only read, from their journals and from their SDKs; now
    /// the name travels beside the request.
    /// </summary>
    [Id(6)]
    internal OperationId EmbeddedOperation { get; init; }

    /// <summary>The request's name: the one beside it, or the one within that an earlier version wrote.</summary>
    /// <param name="beside">The name beside the request.</param>
    internal OperationId OperationOf(in OperationId beside) => beside.Session == 0 ? EmbeddedOperation : beside;
}
