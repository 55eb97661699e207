using IommuFd.GrainInterfaces;

namespace IommuFd.Grains.IoPagetable;

// What areas map: a linear piece of memory, in whole pages, as it was described when it was first mapped. Copying a range creates areas
// over the same pages, in the same or another IOAS, so pages travel from one IOAS's grain to another's. Pages are immutable: shared by
// reference on one silo and by value between silos, with no observable difference.

/// <summary>Identifies pages across grains and silos: areas with equal ids share what they map, and pin it once.</summary>
/// <param name="Ioas">The serial number of the IOAS that mapped them first.</param>
/// <param name="Number">Their number in that IOAS.</param>
[GenerateSerializer, Immutable, Alias("IommuFd.PagesId")]
internal readonly record struct PagesId([property: Id(0)] long Ioas, [property: Id(1)] long Number);

/// <summary>Pages of the caller's memory or of a file (the kernel's <c>struct iopt_pages</c>).</summary>
[GenerateSerializer, Immutable, Alias("IommuFd.IoptPages")]
internal sealed class IoptPages
{
    /// <summary>The file that has the pages; null for the caller's memory.</summary>
    [Id(0)]
    public MappedFile? File { get; init; }

    /// <summary>The caller's address, or the offset in the file, of the first page: a multiple of the page size.</summary>
    [Id(1)]
    public ulong Start { get; init; }

    /// <summary>Number of pages.</summary>
    [Id(2)]
    public ulong PageCount { get; init; }

    /// <summary>
    /// Leading pages that were present when mapped, and writable if DMA may write them. It decides where the pages have no <see cref="Source"/>.
    /// </summary>
    [Id(3)]
    public ulong PinnablePages { get; init; }

    /// <summary>Whether DMA may be allowed to write them.</summary>
    [Id(4)]
    public bool Writable { get; init; }

    /// <summary>The identity of the pages.</summary>
    [Id(5)]
    public PagesId Id { get; init; }

    /// <summary>The program whose memory, or whose file, it is, to be asked when they are pinned; null where what was known when they were mapped stays true.</summary>
    [Id(6)]
    public MemorySource? Source { get; init; }

    /// <summary>The file that the pages of the caller's memory were a mapping of when mapped, from the first page on; null for other memory.</summary>
    [Id(7)]
    public FileMapping? Mapping { get; init; }

    /// <summary>Whether the file is a dma-buf, which only devices reach.</summary>
    [Id(8)]
    public bool IsDmaBuf { get; init; }

    /// <summary>Whether it is a dma-buf that was revoked: DMA reaches nothing there.</summary>
    [Id(9)]
    public bool IsRevoked { get; init; }

    /// <summary>Whether they are those of a file in memory, which are of no process.</summary>
    public bool IsFile => File is not null && !IsDmaBuf;

    /// <summary>The same pages of a dma-buf, now revoked.</summary>
    public IoptPages ToRevoked() => new() { Id = Id, File = File, Start = Start, PageCount = PageCount, PinnablePages = PinnablePages, Writable = Writable, IsDmaBuf = true, IsRevoked = true };

    /// <summary>The same pages of a file, now of another program.</summary>
    public IoptPages ToOwnedBy(MemorySource? source)
        => new() { Id = Id, File = File, Start = Start, PageCount = PageCount, PinnablePages = PinnablePages, Writable = Writable, Source = source, Account = Account };

    /// <summary>What they count against while they are pinned.</summary>
    [Id(10)]
    public PinAccount Account { get; init; }
}

/// <summary>A slice of pages that is mapped, or is about to be.</summary>
/// <param name="Pages">The pages.</param>
/// <param name="StartByte">Where the slice starts, in bytes from the first page's start.</param>
/// <param name="Length">Bytes of the slice, at least 1.</param>
[GenerateSerializer, Immutable, Alias("IommuFd.PagesSlice")]
internal readonly record struct PagesSlice([property: Id(0)] IoptPages Pages, [property: Id(1)] ulong StartByte, [property: Id(2)] ulong Length)
{
    /// <summary>The caller's address, or the offset in the file, of the slice.</summary>
    public ulong Address => Pages.Start + StartByte;

    /// <summary>The numbers of its pages, from the first page's 0 on.</summary>
    public IovaRange Run => new(StartByte / PageSizes.Page, (StartByte + (Length - 1)) / PageSizes.Page);
}
