using IommuFd.GrainInterfaces;
using IommuFd.Grains.Encoding;

namespace IommuFd.Grains.IoPagetable;

// Pages are saved once, however many areas map them. They travel between silos by value, so equal ids may be several objects here; saving
// makes them one.

/// <summary>Collects the pages of areas for a snapshot, and restores them.</summary>
internal sealed class PagesWriter
{
    private const ulong DmaBuf = 1, RevokedDmaBuf = 2;

    private readonly Dictionary<PagesId, int> _numbers = [];
    private readonly Dictionary<string, int> _files = [];
    private readonly Dictionary<MemorySource, int> _sources = [];
    private readonly ColumnWriter _fileColumn = new();
    private readonly ColumnWriter _starts = new();
    private readonly ColumnWriter _pageCounts = new();
    private readonly ColumnWriter _unpinnable = new();
    private readonly ColumnWriter _writable = new();
    private readonly ColumnWriter _ioases = new();
    private readonly ColumnWriter _ids = new();
    private readonly ColumnWriter _sourceColumn = new();
    private readonly ColumnWriter _mappedFileColumn = new();
    private readonly ColumnWriter _mappingOffsets = new();
    private readonly ColumnWriter _mappingLengths = new();
    private readonly ColumnWriter _dmaBufs = new();
    private readonly ColumnWriter _accounts = new();
    private readonly ColumnWriter _shared = new();
    private bool _areAccounted;
    private bool _areShared;
    private int _mappings;
    private bool _hasDmaBufs;

    /// <summary>Adds pages unless they are already there; returns their number.</summary>
    public int Add(IoptPages pages, bool isShared = false)
    {
        if (!_numbers.TryAdd(pages.Id, _numbers.Count))
        {
            return _numbers[pages.Id];
        }

        _fileColumn.Add(NumberOf(_files, pages.File?.Identity));
        _sourceColumn.Add(NumberOf(_sources, pages.Source));
        _mappedFileColumn.Add(NumberOf(_files, pages.Mapping?.File.Identity));
        if (pages.Mapping is { } mapping)
        {
            _mappingOffsets.Add(mapping.Offset);
            _mappingLengths.Add(mapping.Length);
            _mappings++;
        }

        _dmaBufs.Add(pages.IsRevoked ? RevokedDmaBuf : pages.IsDmaBuf ? DmaBuf : 0UL);
        _hasDmaBufs |= pages.IsDmaBuf;
        _accounts.Add((ulong)pages.Account);
        _shared.Add(isShared ? 1UL : 0);
        _areAccounted |= pages.Account != PinAccount.None;
        _areShared |= isShared;
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
        Sources = _sources.Count == 0 ? null : [.. _sources.Keys],
        SourceOf = _sources.Count == 0 ? default : _sourceColumn.ToColumn(),
        MappedFileOf = _mappings == 0 ? default : _mappedFileColumn.ToColumn(),
        MappingOffsets = _mappingOffsets.ToColumn(),
        MappingLengths = _mappingLengths.ToColumn(),
        DmaBufs = _hasDmaBufs ? _dmaBufs.ToColumn() : default,
        Accounts = _areAccounted ? _accounts.ToColumn() : default,
        Shared = _areShared ? _shared.ToColumn() : default,
    };

    /// <summary>Restores pages, in the order of their numbers.</summary>
    /// <param name="saved">The saved pages.</param>
    /// <param name="share">Gets those that are shared.</param>
    public static List<IoptPages> Restore(PagesSnapshot saved, Action<IoptPages>? share = null)
    {
        var (accounts, shared) = (saved.Accounts.Read(), saved.Shared.Read());
        var (starts, counts, unpinnable) = (saved.Starts.Read(), saved.PageCounts.Read(), saved.Unpinnable.Read());
        var (fileOf, writable, ioases, numbers) = (saved.FileOf.Read(), saved.Writable.Read(), saved.Ioases.Read(), saved.Numbers.Read());
        var (sourceOf, mappedFileOf) = (saved.SourceOf.Read(), saved.MappedFileOf.Read());
        var dmaBufs = saved.DmaBufs.Read();
        var (mappingOffsets, mappingLengths) = (saved.MappingOffsets.Read(), saved.MappingLengths.Read());
        var files = Array.ConvertAll(saved.Files ?? [], file => new MappedFile(SnapshotFormat.Expect<string>(file)));
        var sources = saved.Sources ?? [];
        var pages = new List<IoptPages>();
        while (starts.TryNext(out var start))
        {
            var (count, file, mayWrite) = (counts.Next(), fileOf.Next<int>(), writable.Next());
            var (source, mappedFile) = (sources.Length == 0 ? 0 : sourceOf.Next<int>(), saved.MappedFileOf == default ? 0 : mappedFileOf.Next<int>());
            var dmaBuf = saved.DmaBufs == default ? 0 : dmaBufs.Next();
            SnapshotFormat.Require(dmaBuf <= RevokedDmaBuf && (dmaBuf == 0 || file > 0), "Pages are a dma-buf of an unknown kind, or of no file.");
            SnapshotFormat.Require(source <= sources.Length && mappedFile <= files.Length, "Pages name an unknown program, or are a mapping of an unknown file.");
            var account = saved.Accounts == default ? PinAccount.None : (PinAccount)accounts.Next<byte>();
            SnapshotFormat.Require(account <= PinAccount.Process, "Pages count against an unknown account.");
            SnapshotFormat.Require(file <= files.Length && mayWrite <= 1 && PageSizes.OffsetOf(start) == 0, "Pages name an unknown file, have an invalid write flag, or begin inside a page.");
            pages.Add(new IoptPages
            {
                Id = new PagesId(ioases.Next<long>(), numbers.Next<long>()),
                File = file == 0 ? null : files[file - 1],
                Start = start,
                PageCount = count,
                PinnablePages = count - unpinnable.Next(),
                Writable = mayWrite != 0,
                Source = source == 0 ? null : SnapshotFormat.Expect<MemorySource>(sources[source - 1]),
                Mapping = mappedFile == 0 ? null : new FileMapping(files[mappedFile - 1], mappingOffsets.Next(), mappingLengths.Next()),
                IsDmaBuf = dmaBuf != 0,
                IsRevoked = dmaBuf == RevokedDmaBuf,
                Account = account,
            });
            if (saved.Shared != default && shared.Next() != 0)
            {
                share?.Invoke(pages[^1]);
            }
        }

        Array.ForEach([counts, unpinnable, fileOf, writable, ioases, numbers, sourceOf, mappedFileOf, mappingOffsets, mappingLengths, dmaBufs, accounts, shared], column => column.End());
        return pages;
    }

    // 0 for none, otherwise the number in the list, plus 1.
    private static ulong NumberOf<T>(Dictionary<T, int> numbers, T? value)
        where T : class
    {
        if (value is null)
        {
            return 0;
        }

        numbers.TryAdd(value, numbers.Count);
        return (ulong)numbers[value] + 1;
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

    /// <summary>The programs whose memory it is; null for none.</summary>
    [Id(8)]
    public MemorySource[]? Sources { get; init; }

    /// <summary>0 for none of them, otherwise the program's number plus 1: a column; empty where there are no programs.</summary>
    [Id(9)]
    public DeltaColumn SourceOf { get; init; }

    /// <summary>0 for memory that is no mapping of a file, otherwise the file's number plus 1: a column; empty where there are no mappings.</summary>
    [Id(10)]
    public DeltaColumn MappedFileOf { get; init; }

    /// <summary>Offsets in those files, of mappings alone: a column.</summary>
    [Id(11)]
    public DeltaColumn MappingOffsets { get; init; }

    /// <summary>Bytes that are mapped so, of mappings alone: a column.</summary>
    [Id(12)]
    public DeltaColumn MappingLengths { get; init; }

    /// <summary>1 for a dma-buf, 2 for one that was revoked, 0 for other pages: a column; empty where there are no dma-bufs.</summary>
    [Id(13)]
    public DeltaColumn DmaBufs { get; init; }

    /// <summary>What the pages count against, as <see cref="PinAccount"/>: a column; empty where that is nothing.</summary>
    [Id(14)]
    public DeltaColumn Accounts { get; init; }

    /// <summary>1 for pages that several areas or accesses may use, else 0: a column; empty where there are none.</summary>
    [Id(15)]
    public DeltaColumn Shared { get; init; }
}
