using IommuFd.Uapi;

namespace IommuFd.GrainInterfaces;

/// <summary>A reference to a context, as an inspection shows it.</summary>
/// <param name="Id">The reference.</param>
/// <param name="Kind">Its kind.</param>
/// <param name="Name">Its owner's name.</param>
/// <param name="Holds">Number of objects that it holds.</param>
[GenerateSerializer, Immutable, Alias("IommuFd.ReferenceInspection")]
public sealed record ReferenceInspection(
    [property: Id(0)] ReferenceId Id,
    [property: Id(1)] ReferenceKind Kind,
    [property: Id(2)] string Name,
    [property: Id(3)] int Holds);

/// <summary>Asks for a page of a context's objects.</summary>
/// <param name="After">Only objects with greater ids; 0 starts at the first.</param>
/// <param name="Limit">
/// At most this many objects, 0 to <see cref="IoctlLimits.MaxInspectionPage"/>; more are cut to that. A page of
/// <see cref="IoctlLimits.MaxPageBytes"/> ends earlier.
/// </param>
/// <param name="WithState">Whether to ask each object's grain for its state.</param>
[GenerateSerializer, Immutable, Alias("IommuFd.InspectRequest")]
public sealed record InspectRequest([property: Id(0)] ObjectId After, [property: Id(1)] int Limit, [property: Id(2)] bool WithState);

/// <summary>A context and a page of its objects.</summary>
[GenerateSerializer, Immutable, Alias("IommuFd.ContextInspection")]
public sealed class ContextInspection
{
    /// <summary>0; EBADF without such a context, and then nothing else is set.</summary>
    [Id(0)]
    public Errno Errno { get; init; }

    /// <summary>The mode.</summary>
    [Id(1)]
    public ContextMode Mode { get; init; }

    /// <summary>The silo that runs the context.</summary>
    [Id(2)]
    public string Silo { get; init; } = "";

    /// <summary>The value of <c>IOMMU_OPTION_RLIMIT_MODE</c>: 0 or 1.</summary>
    [Id(3)]
    public uint RlimitMode { get; init; }

    /// <summary>The compatibility IOAS; 0 for none.</summary>
    [Id(4)]
    public ObjectId CompatIoas { get; init; }

    /// <summary>The first <see cref="IoctlLimits.MaxListed"/> references, oldest first.</summary>
    [Id(5)]
    public ReferenceInspection[] References { get; init; } = [];

    /// <summary>Number of objects in the context, on all pages.</summary>
    [Id(6)]
    public long ObjectCount { get; init; }

    /// <summary>The page, by ascending id.</summary>
    [Id(7)]
    public ObjectInspection[] Objects { get; init; } = [];

    /// <summary>Whether there are objects behind this page.</summary>
    [Id(8)]
    public bool HasMore { get; init; }

    /// <summary>The value of <c>IOMMU_TEST_OP_SET_TEMP_MEMORY_LIMIT</c>, in bytes.</summary>
    [Id(9)]
    public uint TempMemoryLimit { get; init; }

    /// <summary>Pages that the context has pinned, each once.</summary>
    [Id(10)]
    public long PinnedPages { get; init; }

    /// <summary>Whose pages these are, most first: the first <see cref="IoctlLimits.MaxListed"/>.</summary>
    [Id(11)]
    public PinnedMemory[] Pinned { get; init; } = [];

    /// <summary>The same with the first objects of the page, which may be all.</summary>
    internal ContextInspection WithObjects(ObjectInspection[] first) => new()
    {
        Errno = Errno,
        Mode = Mode,
        Silo = Silo,
        RlimitMode = RlimitMode,
        CompatIoas = CompatIoas,
        References = References,
        ObjectCount = ObjectCount,
        Objects = first,
        HasMore = HasMore || first.Length < Objects.Length,
        TempMemoryLimit = TempMemoryLimit,
        PinnedPages = PinnedPages,
        Pinned = Pinned,
    };
}
