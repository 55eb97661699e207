using IommuFd.GrainInterfaces;

namespace IommuFd.Grains.IoPagetable;

// What areas map: a linear piece of memory, in whole pages, as it was described when it was first mapped. Copying a range makes
// new areas of the same pages, in the same or another IOAS, so that pages travel from one IOAS' grain to another's. They never
// change once made: on one silo they are shared by reference, between silos by value, and nobody can tell the difference.

/// <summary>Tells pages apart wherever they are: areas with equal ids share what they map, and pin it once.</summary>
/// <param name="Ioas">The IOAS that they were first mapped in, by its serial number.</param>
/// <param name="Number">Their number there.</param>
[GenerateSerializer, Immutable, Alias("IommuFd.PagesId")]
internal readonly record struct PagesId([property: Id(0)] long Ioas, [property: Id(1)] long Number);

/// <summary>Pages of the caller's memory or of a file (the kernel's <c>struct iopt_pages</c>).</summary>
[GenerateSerializer, Immutable, Alias("IommuFd.IoptPages")]
internal sealed class IoptPages
{
    /// <summary>The file that the pages are of; null for memory of the caller.</summary>
    [Id(0)]
    public MappedFile? File { get; init; }

    /// <summary>The caller's address, or the offset in the file, of the first page: a multiple of the page size.</summary>
    [Id(1)]
    public ulong Start { get; init; }

    /// <summary>Number of pages.</summary>
    [Id(2)]
    public ulong PageCount { get; init; }

    /// <summary>Leading pages that were there, and writable if they are to be written, when they were mapped.</summary>
    [Id(3)]
    public ulong PinnablePages { get; init; }

    /// <summary>Whether DMA may be allowed to write them.</summary>
    [Id(4)]
    public bool Writable { get; init; }

    /// <summary>Which pages they are.</summary>
    [Id(5)]
    public PagesId Id { get; init; }
}

/// <summary>A piece of pages that is mapped, or is to be.</summary>
/// <param name="Pages">The pages.</param>
/// <param name="StartByte">Where the piece starts, in bytes from the first page's start.</param>
/// <param name="Length">Bytes of the piece, at least 1.</param>
[GenerateSerializer, Immutable, Alias("IommuFd.PagesSlice")]
internal readonly record struct PagesSlice([property: Id(0)] IoptPages Pages, [property: Id(1)] ulong StartByte, [property: Id(2)] ulong Length)
{
    /// <summary>The caller's address, or the offset in the file, of the piece.</summary>
    public ulong Address => Pages.Start + StartByte;
}
