using IommuFd.GrainInterfaces;
using IommuFd.Grains.Encoding;

namespace IommuFd.Grains.IoPagetable;

// Pages are saved once, however many areas map them. They travel between silos by value, so equal ids may be several objects here; saving
// makes them one.

/// <summary>Collects the pages of areas for a snapshot, and restores them.</summary>
internal sealed class PagesWriter
{
    private readonly Dictionary<PagesId, int> _numbers = [];
    private readonly Dictionary<string, int> _files = [];
    private readonly ColumnWriter _fileColumn = new();
    private readonly ColumnWriter _starts = new();
    private readonly ColumnWriter _pageCounts = new();
    private readonly ColumnWriter _unpinnable = new();
    private readonly ColumnWriter _writable = new();
    private readonly ColumnWriter _ioases = new();
    private readonly ColumnWriter _ids = new();

    /// <summary>Adds pages unless they are already there; returns their number.</summary>
    public int Add(IoptPages pages)
    {
        if (!_numbers.TryAdd(pages.Id, _numbers.Count))
        {
            return _numbers[pages.Id];
        }

        if (pages.File is { } file)
        {
            _files.TryAdd(file.Identity, _files.Count);
        }

        _fileColumn.Add(pages.File is null ? 0 : (ulong)_files[pages.File.Identity] + 1);
        _starts.Add(pages.Start);
        _pageCounts.Add(pages.PageCount);
        _unpinnable.Add(pages.PageCount - pages.PinnablePages);
        _writable.Add(pages.Writable ? 1UL : 0);
        _ioases.Add((ulong)pages.Id.Ioas);
        _ids.Add((ulong)pages.Id.Number);
        return _numbers.Count - 1;
    }

    public PagesSnapshot ToSnapshot() => new()
    {
        Files = _files.Count == 0 ? null : [.. _files.Keys],
        FileOf = _fileColumn.ToColumn(),
        Starts = _starts.ToColumn(),
        PageCounts = _pageCounts.ToColumn(),
        Unpinnable = _unpinnable.ToColumn(),
        Writable = _writable.ToColumn(),
        Ioases = _ioases.ToColumn(),
        Numbers = _ids.ToColumn(),
    };

    /// <summary>Restores pages, in the order of their numbers.</summary>
    public static List<IoptPages> Restore(PagesSnapshot saved)
    {
        var (starts, counts, unpinnable) = (saved.Starts.Read(), saved.PageCounts.Read(), saved.Unpinnable.Read());
        var (fileOf, writable, ioases, numbers) = (saved.FileOf.Read(), saved.Writable.Read(), saved.Ioases.Read(), saved.Numbers.Read());
        var files = Array.ConvertAll(saved.Files ?? [], file => new MappedFile(SnapshotFormat.Expect<string>(file)));
        var pages = new List<IoptPages>();
        while (starts.TryNext(out var start))
        {
            var (count, file, mayWrite) = (counts.Next(), fileOf.Next<int>(), writable.Next());
            SnapshotFormat.Require(file <= files.Length && mayWrite <= 1 && PageSizes.OffsetOf(start) == 0, "Pages name an unknown file, have an invalid write flag, or begin inside a page.");
            pages.Add(new IoptPages
            {
                Id = new PagesId(ioases.Next<long>(), numbers.Next<long>()),
                File = file == 0 ? null : files[file - 1],
                Start = start,
                PageCount = count,
                PinnablePages = count - unpinnable.Next(),
                Writable = mayWrite != 0,
            });
        }

        Array.ForEach([counts, unpinnable, fileOf, writable, ioases, numbers], column => column.End());
        return pages;
    }
}

/// <summary>Saved pages.</summary>
[GenerateSerializer, Immutable, OmitDefaultMemberValues, SuppressReferenceTracking, Alias("IommuFd.PagesSnapshot")]
internal sealed record PagesSnapshot
{
    /// <summary>The identities of files; null for none.</summary>
    [Id(0)]
    public string[]? Files { get; init; }

    /// <summary>0 for the caller's memory, otherwise the file's number plus 1: a column.</summary>
    [Id(1)]
    public DeltaColumn FileOf { get; init; }

    /// <summary>Addresses, or offsets in the file: a column.</summary>
    [Id(2)]
    public DeltaColumn Starts { get; init; }

    /// <summary>Numbers of pages: a column.</summary>
    [Id(3)]
    public DeltaColumn PageCounts { get; init; }

    /// <summary>Numbers of pages that can't be pinned: a column.</summary>
    [Id(4)]
    public DeltaColumn Unpinnable { get; init; }

    /// <summary>1 where DMA may write, else 0: a column.</summary>
    [Id(5)]
    public DeltaColumn Writable { get; init; }

    /// <summary>The serial numbers of the IOASes that mapped them first: a column.</summary>
    [Id(6)]
    public DeltaColumn Ioases { get; init; }

    /// <summary>Their numbers in those IOASes: a column.</summary>
    [Id(7)]
    public DeltaColumn Numbers { get; init; }
}
