namespace IommuFd.GrainInterfaces;

/// <summary>
/// The limits of requests. Beyond them, the caller's side describes memory instead of sending it, and the service refuses requests.
/// </summary>
public static class IoctlLimits
{
    /// <summary>
    /// Bytes of an argument that travel. <see cref="ArgumentTail"/> describes the bytes behind them; the largest struct of the ABI has 72.
    /// </summary>
    public const int MaxArgumentBytes = 4096;

    /// <summary>Bytes of one user buffer that travel.</summary>
    public const int MaxBufferBytes = 1 << 20;

    /// <summary>
    /// Bytes of one request, with all its arguments and buffers: more is refused before it is sent. A service may be configured to take less.
    /// </summary>
    public const int MaxRequestBytes = 64 << 20;

    /// <summary>
    /// Bytes that the answers to a batch could have at most, by what its ioctls ask: where it is more, the batch is E2BIG and nothing of it
    /// runs. This is the default of the service's setting <c>Contexts:MaxAnswerBytes</c>.
    /// </summary>
    public const int DefaultMaxAnswerBytes = 16 << 20;

    /// <summary>Ioctls in one batch.</summary>
    public const int MaxBatch = 4096;

    /// <summary>Holders, references or released objects that one reply lists. The full count travels beside the list.</summary>
    public const int MaxListed = 64;

    /// <summary>References that a context can have at once: files, drivers and files that ioctls opened.</summary>
    public const int MaxReferences = 65_536;

    /// <summary>Requests of one session that can be under way at once, which is how many replies are kept until they are settled.</summary>
    public const int MaxUnsettled = 256;

    /// <summary>Sequences of one session whose replies are kept, beside the one that has no lane.</summary>
    public const int MaxLanes = 1024;

    /// <summary>Characters of a name that a caller gives to a reference or a hold.</summary>
    public const int MaxNameLength = 128;

    /// <summary>Reserved regions of one device.</summary>
    public const int MaxReservedRegions = 256;

    /// <summary>Bytes of one copy or pin through an access, as in Linux's selftest.</summary>
    public const ulong MaxAccessBytes = 16 << 20;

    /// <summary>Pieces of memory behind the IOVAs of one copy or pin; in more pieces it is ENOMEM.</summary>
    public const int MaxAccessPieces = 8192;

    /// <summary>Ranges of IOVAs of one access of a device.</summary>
    public const int MaxDmaRanges = 64;

    /// <summary>
    /// Page faults, or events, that a queue has at once, whatever depth was asked for. A fault beyond them is answered as invalid, an event
    /// beyond them is lost.
    /// </summary>
    public const int MaxQueued = 65_536;

    /// <summary>Page faults of one group.</summary>
    public const int MaxFaultGroup = 512;

    /// <summary>Milliseconds that one call waits for a file to have something to read.</summary>
    public const int MaxPollWaitMs = 1_000;

    /// <summary>Objects that one page of an inspection lists.</summary>
    public const int MaxInspectionPage = 10_000;

    /// <summary>Bytes, about, of a page, a graph or a tail, however many entries it may have: it ends with the entry that passes them.</summary>
    public const int MaxPageBytes = 4 << 20;

    /// <summary>Characters of a file's identity.</summary>
    public const int MaxIdentityLength = 1024;
}
