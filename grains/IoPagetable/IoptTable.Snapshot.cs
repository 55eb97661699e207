using IommuFd.GrainInterfaces;
using IommuFd.Grains.Encoding;
using IommuFd.Uapi;

namespace IommuFd.Grains.IoPagetable;

// Saving and restoring the table. What follows from other state is not saved: what domains reserve, the counts of areas, the alignment. A
// restore rebuilds it by the steps that built it first, so that each rule stands in one place. Pins are restored from the accesses that
// have them.

internal sealed partial class IoptTable
{
    private const ulong Nobody = 0;

    /// <summary>Saves the table without its domains and pins; null if it is like a new one.</summary>
    public TableSnapshot? Save()
    {
        var snapshot = new TableSnapshot
        {
            LargePagesDisabled = LargePagesDisabled,
            PinningAccesses = _pinningAccesses,
            Allowed = _allowed.IsEmpty ? null : RangesSnapshot.Of(_allowed.Ranges),
            Reserved = SaveReserved(),
            Areas = SaveAreas(),
        };
        return snapshot == new TableSnapshot() ? null : snapshot;
    }

    /// <summary>Restores a table.</summary>
    /// <param name="snapshot">What <see cref="Save"/> returned.</param>
    /// <param name="domains">Its domains, in their order.</param>
    /// <param name="pins">The pins of all accesses.</param>
    public static IoptTable Restore(TableSnapshot? snapshot, IReadOnlyCollection<IommuDomain> domains, IEnumerable<PinnedRange> pins)
    {
        snapshot ??= new TableSnapshot();
        SnapshotFormat.Require(snapshot.PinningAccesses >= 0, "The number of pinning accesses is negative.");
        var table = new IoptTable
        {
            LargePagesDisabled = snapshot.LargePagesDisabled,
            _pinningAccesses = snapshot.PinningAccesses,
            _domains = [.. domains],
        };
        table._pins.PinAll(domains.Count > 0, []);
        table.RestoreReserved(snapshot.Reserved);
        table.RestoreAllowed(snapshot.Allowed);
        table.IovaAlignment = table.RequiredAlignment;
        table.RestoreAreas(snapshot.Areas);
        if (table.FaultOfTable() is { } fault)
        {
            throw SnapshotFormat.Of(fault);
        }

        foreach (var pin in pins)
        {
            table.RestorePin(pin);
        }

        return table;
    }

    // A device's reservations are saved with its id, permanent ones with Nobody. A domain's follow from its aperture.
    private RangesSnapshot? SaveReserved()
    {
        var (reserved, owners) = (new List<(IovaRange Range, ulong Owner)>(), new ColumnWriter());
        foreach (var (range, owner) in _reserved.All)
        {
            if (owner is not IommuDomain)
            {
                reserved.Add((range, owner is null ? Nobody : ((ObjectId)owner).Value));
            }
        }

        if (reserved.Count == 0)
        {
            return null;
        }

        reserved.Sort(static (left, right) => (left.Owner, left.Range.Start, left.Range.Last).CompareTo((right.Owner, right.Range.Start, right.Range.Last)));
        reserved.ForEach(one => owners.Add(one.Owner));
        return RangesSnapshot.Of([.. reserved.Select(one => one.Range)]) with { Owners = owners.ToColumn() };
    }

    private void RestoreReserved(RangesSnapshot? saved)
    {
        saved ??= new RangesSnapshot();
        var owners = saved.Owners.Read();
        foreach (var range in saved.ToRanges())
        {
            var owner = owners.Next<uint>();
            Reserve(range, owner == Nobody ? null : new ObjectId(owner));
        }

        owners.End();
        foreach (var domain in _domains)
        {
            ReserveOutside(domain);
        }
    }

    private void RestoreAllowed(RangesSnapshot? saved)
    {
        IommuIovaRange[] ranges = [.. (saved?.ToRanges() ?? []).Select(range => new IommuIovaRange { Start = range.Start, Last = range.Last })];
        SnapshotFormat.Require(AllowedRanges.Create(ranges, out _allowed) == Errno.None, "The allowed ranges overlap, or one has a single IOVA.");
    }

    // Pages that several areas share are saved once. PagesId identifies them, wherever they come from.
    private AreasSnapshot? SaveAreas()
    {
        if (AreaCount == 0)
        {
            return null;
        }

        var (starts, lengths, pages, startBytes, prots) = (new ColumnWriter(), new ColumnWriter(), new ColumnWriter(), new ColumnWriter(), new ColumnWriter());
        var all = new PagesWriter();
        foreach (var area in Areas)
        {
            starts.Add(area.Range.Start);
            lengths.Add(area.Length);
            pages.Add((ulong)all.Add(area.Pages, _pins.IsShared(area.Pages)));
            startBytes.Add(area.StartByte);
            prots.Add((ulong)area.Prot);
        }

        return new AreasSnapshot
        {
            Starts = starts.ToColumn(),
            Lengths = lengths.ToColumn(),
            PagesOf = pages.ToColumn(),
            StartBytes = startBytes.ToColumn(),
            Prots = prots.ToColumn(),
            Pages = all.ToSnapshot(),
        };
    }

    private void RestoreAreas(AreasSnapshot? saved)
    {
        saved ??= new AreasSnapshot();
        var (starts, lengths, pagesOf) = (saved.Starts.Read(), saved.Lengths.Read(), saved.PagesOf.Read());
        var (startBytes, prots, pages) = (saved.StartBytes.Read(), saved.Prots.Read(), PagesWriter.Restore(saved.Pages ?? new PagesSnapshot(), _pins.ShareNew));
        IoptArea? before = null;
        while (starts.TryNext(out var start))
        {
            var (length, number, prot) = (lengths.Next(), pagesOf.Next<int>(), prots.Next());
            SnapshotFormat.Require(
                IovaRange.TryOfLength(start, length, out var range) && length > 0 && (before is null || start > before.Range.Last) && number < pages.Count && prot <= (ulong)IommuProt.All,
                "An area is not a valid mapping, or does not lie above the one before it.");
            before = new IoptArea(range, pages[number], startBytes.Next(), (IommuProt)prot);
            if (FaultOf(before) is { } fault)
            {
                throw SnapshotFormat.Of(fault);
            }

            Insert(before);
        }

        lengths.End();
        pagesOf.End();
        startBytes.End();
        prots.End();
    }

    private void RestorePin(PinnedRange pinned)
    {
        var pin = pinned.Range;
        for (var rest = pin; FirstArea(new IovaRange(rest.Start, rest.Start)) is { } area; rest = rest with { Start = area.Range.Last + 1 })
        {
            CountPin(area, SliceOf(area, rest), 1, pinned.IsLocked);
            if (area.Range.Last >= pin.Last)
            {
                return;
            }
        }

        throw SnapshotFormat.Of("A pinned range is not mapped.");
    }
}

/// <summary>A saved IO page table, without its domains and pins.</summary>
[GenerateSerializer, Immutable, OmitDefaultMemberValues, SuppressReferenceTracking, Alias("IommuFd.TableSnapshot")]
internal sealed record TableSnapshot
{
    [Id(0)]
    public bool LargePagesDisabled { get; init; }

    /// <summary>Accesses that pin pages.</summary>
    [Id(1)]
    public int PinningAccesses { get; init; }

    /// <summary>The allowed IOVAs; null for all.</summary>
    [Id(2)]
    public RangesSnapshot? Allowed { get; init; }

    /// <summary>The reservations other than domains'; null for none.</summary>
    [Id(3)]
    public RangesSnapshot? Reserved { get; init; }

    /// <summary>The areas; null for none.</summary>
    [Id(4)]
    public AreasSnapshot? Areas { get; init; }
}

/// <summary>Saved areas, in ascending order.</summary>
[GenerateSerializer, Immutable, OmitDefaultMemberValues, SuppressReferenceTracking, Alias("IommuFd.AreasSnapshot")]
internal sealed record AreasSnapshot
{
    /// <summary>First IOVAs: a column.</summary>
    [Id(0)]
    public DeltaColumn Starts { get; init; }

    /// <summary>Bytes: a column.</summary>
    [Id(1)]
    public DeltaColumn Lengths { get; init; }

    /// <summary>The numbers of the pages behind them: a column.</summary>
    [Id(2)]
    public DeltaColumn PagesOf { get; init; }

    /// <summary>Where they start in their pages: a column.</summary>
    [Id(3)]
    public DeltaColumn StartBytes { get; init; }

    /// <summary>What DMA may do, as <see cref="IommuProt"/>: a column.</summary>
    [Id(4)]
    public DeltaColumn Prots { get; init; }

    /// <summary>The pages, each once.</summary>
    [Id(5)]
    public PagesSnapshot? Pages { get; init; }
}
