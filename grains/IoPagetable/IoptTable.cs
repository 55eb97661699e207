using IommuFd.GrainInterfaces;
using IommuFd.Grains.IoPagetable.Pins;
using IommuFd.Grains.IoPagetable.Trees;
using IommuFd.Uapi;

namespace IommuFd.Grains.IoPagetable;

// The IO page table of one IOAS (the kernel's struct io_pagetable): which IOVAs are mapped to what, which are reserved, and which
// are allowed for automatic IOVAs. Its methods are the kernel's iopt_ functions; each checks in the kernel's order, since the
// first check that fails gives the errno, and changes nothing when it fails, unless it says so.
//
// Always: no two areas overlap, no area has a reserved IOVA, no reserved IOVA is allowed, and every area's offset in its first page is a
// multiple of IovaAlignment. Its IOVA and length mostly are too, but Linux checks those for a mapping as a whole: the slices of one copy
// may meet at any IOVA. A table without a domain maps lazily: it touches no memory.
//
// This file maps and unmaps; .Iovas.cs chooses IOVAs and has the allowed and reserved ones; .Domains.cs has the domains that mirror the
// table, .Pins.cs the pins of accesses; .Snapshot.cs saves and restores; .Validate.cs checks the invariants.

/// <summary>The mapped, reserved and allowed IOVAs of one IOAS.</summary>
internal sealed partial class IoptTable
{
    /// <summary>Areas that one copy takes: their pages travel in one message, where the two IOASes are on different silos.</summary>
    public const int MaxCopyAreas = 1 << 19;

    private readonly RangeTree<IoptArea> _areas = new();
    private readonly PinCounter _pins = new();
    private long _areasOfNoFile;
    private UInt128 _mappedBytes;
    private int[]? _areasByAlignment;

    /// <summary>Number of areas.</summary>
    public int AreaCount => _areas.Count;

    /// <summary>The areas, ascending.</summary>
    public IEnumerable<IoptArea> Areas => _areas.Entries.Select(entry => entry.Value);

    /// <summary>
    /// Whether any area maps what is no file in memory. Files belong to no process, so a table that maps nothing else can change its process.
    /// </summary>
    public bool MapsOtherThanFiles => _areasOfNoFile > 0;

    /// <summary>What is pinned, if that has changed since it was asked last; null if not.</summary>
    public PinTally? TakePins() => _pins.Take();

    /// <summary>The pages of a contiguously mapped range, which <see cref="GetPages"/> has found, are about to be mapped elsewhere.</summary>
    public void Share(IovaRange range)
    {
        for (var area = FirstArea(range); area is not null && area.Range.Start <= range.Last; area = AreaAbove(area.Range.Last))
        {
            _pins.Share(area);
        }
    }

    /// <summary>Bytes that are neither mapped nor reserved; 2^64 is reported as 2^64 - 1.</summary>
    public ulong FreeBytes
    {
        get
        {
            var taken = _reserved.Spans.Aggregate(_mappedBytes, (sum, span) => sum + span.LengthBytes);
            return (UInt128)ulong.MaxValue + 1 - taken is var free && free > ulong.MaxValue ? ulong.MaxValue : (ulong)free;
        }
    }

    /// <summary>The areas that end at an IOVA or above it, ascending.</summary>
    public IEnumerable<IoptArea> AreasFrom(ulong iova)
    {
        for (var area = FirstArea(new IovaRange(iova, ulong.MaxValue)); area is not null; area = AreaAbove(area.Range.Last))
        {
            yield return area;
        }
    }

    /// <summary>The lowest area that overlaps a range, if any.</summary>
    public IoptArea? FirstArea(IovaRange within) => _areas.TryFirst(within, out var entry) ? entry.Value : null;

    /// <summary>The nearest area that lies wholly above an IOVA, if any.</summary>
    public IoptArea? AreaAbove(ulong iova) => _areas.TryAbove(iova, out var entry) ? entry.Value : null;

    /// <summary>The nearest area that lies wholly below an IOVA, if any.</summary>
    public IoptArea? AreaBelow(ulong iova) => _areas.TryBelow(iova, out var entry) ? entry.Value : null;

    /// <summary>Maps slices of pages back to back (<c>iopt_map_pages</c>): all of them, or none.</summary>
    /// <param name="slices">The slices, at least one.</param>
    /// <param name="prot">What DMA may do.</param>
    /// <param name="fixedIova">Where to map them; null to choose.</param>
    /// <param name="iova">Where they are mapped.</param>
    /// <param name="look">Looks at the memory, where a domain pins it; null where it was looked at just now, to be mapped.</param>
    /// <param name="isCopy">Whether the pages are mapped elsewhere too.</param>
    public Errno Map(ReadOnlySpan<PagesSlice> slices, IommuProt prot, ulong? fixedIova, out ulong iova, PinLook? look = null, bool isCopy = true)
    {
        var length = 0UL;
        foreach (ref readonly var slice in slices)
        {
            length += slice.Length;
        }

        // The first slice's alignment decides for all.
        var errno = FindPlace(slices[0].Address, length, fixedIova, out iova);
        for (var i = 0; i < slices.Length && errno == Errno.None; i++)
        {
            errno = CheckSlice(slices[i], prot);
        }

        for (var i = 0; i < slices.Length && errno == Errno.None && _domains.Length > 0; i++)
        {
            errno = look is null ? slices[i].CheckWhenMapped() : look.Check(slices[i]);
        }

        errno = look?.Conclude(errno) ?? errno;

        // No IOMMU maps what may not be accessed.
        errno = errno == Errno.None && _domains.Length > 0 && !prot.CanBeAccessed() ? Errno.EINVAL : errno;
        errno = errno == Errno.None && _domains.Length > 0 && look is not null ? look.Charge(PinCounter.PriceOf(slices.ToArray())) : errno;
        if (errno != Errno.None)
        {
            return errno;
        }

        var start = iova;
        foreach (ref readonly var slice in slices)
        {
            if (isCopy)
            {
                _pins.ShareNew(slice.Pages);
            }

            Insert(new IoptArea(new IovaRange(start, start + (slice.Length - 1)), slice.Pages, slice.StartByte, prot));
            start += slice.Length;
        }

        return Errno.None;
    }

    /// <summary>Gets the slices of pages behind a contiguously mapped range (<c>iopt_get_pages</c>); ENOMEM for more than <see cref="MaxCopyAreas"/>.</summary>
    /// <param name="iova">The first IOVA.</param>
    /// <param name="length">Bytes.</param>
    /// <param name="slices">Receives the slices, one per area; empty on failure.</param>
    public Errno GetPages(ulong iova, ulong length, List<PagesSlice> slices)
    {
        if (length == 0)
        {
            return Errno.EINVAL;
        }

        if (!IovaRange.TryOfLength(iova, length, out var rest))
        {
            return Errno.EOVERFLOW;
        }

        while (FirstArea(new IovaRange(rest.Start, rest.Start)) is { } area)
        {
            if (slices.Count == MaxCopyAreas)
            {
                slices.Clear();
                return Errno.ENOMEM;
            }

            var last = Math.Min(rest.Last, area.Range.Last);
            slices.Add(new PagesSlice(area.Pages, area.StartByteOf(rest.Start), last - rest.Start + 1));
            if (last == rest.Last)
            {
                return Errno.None;
            }

            rest = rest with { Start = last + 1 };
        }

        slices.Clear();
        return Errno.ENOENT;
    }

    /// <summary>The first IOVA from one on that is not mapped. There must be one.</summary>
    public ulong FirstGap(ulong iova)
    {
        while (FirstArea(new IovaRange(iova, iova)) is { } area)
        {
            iova = area.Range.Last + 1;
        }

        return iova;
    }

    /// <summary>Makes what is mapped of a dma-buf lead nowhere: the areas stay, and domains have no pages there any more (<c>iopt_revoke_notify</c>).</summary>
    /// <param name="identity">The dma-buf.</param>
    /// <returns>How many areas there were.</returns>
    public int Revoke(string identity)
    {
        var mapped = Areas.Where(area => area.Pages is { IsDmaBuf: true, IsRevoked: false, File: { } file } && file.Identity == identity).ToList();
        var revoked = new Dictionary<PagesId, IoptPages>();
        foreach (var area in mapped)
        {
            if (!revoked.TryGetValue(area.Pages.Id, out var pages))
            {
                revoked.Add(area.Pages.Id, pages = area.Pages.ToRevoked());
            }

            Remove(area);
            Insert(new IoptArea(area.Range, pages, area.StartByte, area.Prot));
            CleanDomains(area.Range);
        }

        return mapped.Count;
    }

    /// <summary>Makes all pages those of another program: what is pinned counts against that from now on (<c>change_mm</c>). All must be files'.</summary>
    /// <param name="source">The program.</param>
    public void ChangeSource(MemorySource? source)
    {
        var changed = new Dictionary<PagesId, IoptPages>();
        foreach (var area in Areas.Where(area => area.Pages.Source != source).ToList())
        {
            if (!changed.TryGetValue(area.Pages.Id, out var pages))
            {
                changed.Add(area.Pages.Id, pages = area.Pages.ToOwnedBy(source));
            }

            var moved = new IoptArea(area.Range, pages, area.StartByte, area.Prot) { Pins = area.Pins, Locks = area.Locks };
            _areas.Remove(area.Range.Start);
            _areas.TryInsert(area.Range, moved);
            _pins.Move(area, moved);
        }
    }

    /// <summary>
    /// Unmaps the areas of a range, each of which must lie wholly in it (<c>iopt_unmap_iova</c>). Areas are removed one by one, ascending;
    /// those removed before a failure stay removed. The pins in an area are revoked first.
    /// </summary>
    /// <param name="iova">The first IOVA.</param>
    /// <param name="length">Bytes.</param>
    /// <param name="unmapped">Bytes unmapped, also on failure. A range without areas is not a failure here.</param>
    public Errno Unmap(ulong iova, ulong length, out ulong unmapped)
    {
        unmapped = 0;
        if (length == 0)
        {
            return Errno.EINVAL;
        }

        return IovaRange.TryOfLength(iova, length, out var range) ? Unmap(range, out unmapped) : Errno.EOVERFLOW;
    }

    /// <summary>Unmaps everything (<c>iopt_unmap_all</c>).</summary>
    /// <param name="unmapped">Bytes unmapped.</param>
    public Errno UnmapAll(out ulong unmapped) => Unmap(IovaRange.All, out unmapped);

    /// <summary>
    /// Splits areas so that each of these IOVAs is the last of an area (<c>iopt_cut_iova</c>). IOVAs that are not mapped are skipped. Areas
    /// split before a failure stay split.
    /// </summary>
    public Errno Cut(ReadOnlySpan<ulong> iovas)
    {
        var errno = Errno.None;
        for (var i = 0; i < iovas.Length && errno == Errno.None; i++)
        {
            if (FirstArea(new IovaRange(iovas[i], iovas[i])) is { } area)
            {
                errno = Split(area, iovas[i]);
            }
        }

        return errno;
    }

    private void CleanDomains(IovaRange range)
    {
        foreach (var domain in _domains)
        {
            domain.Clean(range);
        }
    }

    private Errno FindPlace(ulong address, ulong length, ulong? fixedIova, out ulong iova)
    {
        iova = fixedIova ?? 0;
        if (length == 0 || (length & (IovaAlignment - 1)) != 0)
        {
            return Errno.EINVAL;
        }

        return fixedIova is null ? AllocateIova(address, length, out iova) : CheckIova(iova, length);
    }

    private Errno CheckSlice(in PagesSlice slice, IommuProt prot)
    {
        if (prot.HasFlag(IommuProt.Write) && !slice.Pages.Writable)
        {
            return Errno.EPERM;
        }

        if ((PageSizes.OffsetOf(slice.StartByte) & (IovaAlignment - 1)) != 0)
        {
            return Errno.EINVAL;
        }

        return slice.IsInside() ? Errno.None : Errno.EOVERFLOW;
    }

    private Errno Unmap(IovaRange range, out ulong unmapped)
    {
        unmapped = 0;
        while (FirstArea(range) is { } area)
        {
            if (area.Locks > 0)
            {
                return Errno.EBUSY;
            }

            if (area.Range.Start < range.Start || area.Range.Last > range.Last)
            {
                return Errno.ENOENT;
            }

            if (area.Pins > 0)
            {
                RevokePins?.Invoke(area.Range);
                Require(area.Pins == 0, "Accesses drop their pins when asked.");
            }

            Remove(area);
            CleanDomains(area.Range);
            unmapped += area.Length;
            if (area.Range.Last == range.Last)
            {
                break;
            }

            range = range with { Start = area.Range.Last + 1 };
        }

        return Errno.None;
    }

    // An area that is pinned, or that a domain may have mapped with large pages, can't be split (iopt_area_split).
    private Errno Split(IoptArea area, ulong iova)
    {
        // A cut after an area's first IOVA would leave an area of one IOVA; Linux skips it, like a cut at the area's end.
        if (iova == area.Range.Start || iova == area.Range.Last)
        {
            return Errno.None;
        }

        if (area.Pins > 0 || (_domains.Length > 0 && !LargePagesDisabled))
        {
            return Errno.EINVAL;
        }

        if (((iova + 1) & (IovaAlignment - 1)) != 0 || (area.StartByteOf(iova + 1) & (IovaAlignment - 1)) != 0)
        {
            return Errno.EINVAL;
        }

        _pins.Share(area);
        Remove(area);
        _pins.ShareNew(area.Pages);
        Insert(new IoptArea(area.Range with { Last = iova }, area.Pages, area.StartByte, area.Prot));
        Insert(new IoptArea(area.Range with { Start = iova + 1 }, area.Pages, area.StartByteOf(iova + 1), area.Prot));
        return Errno.None;
    }

    private void Insert(IoptArea area)
    {
        var inserted = _areas.TryInsert(area.Range, area);
        Require(inserted, "An area is inserted where there is none.");
        _areasOfNoFile += area.Pages.IsFile ? 0 : 1;
        CountUnpinnable(area, 1);
        CountAlignment(area, 1);
        _pins.Map(area);
        _mappedBytes += area.Length;
        CheckInvariants();
    }

    private void Remove(IoptArea area)
    {
        var removed = _areas.Remove(area.Range.Start);
        Require(removed, "An area is removed once.");
        _areasOfNoFile -= area.Pages.IsFile ? 0 : 1;
        CountUnpinnable(area, -1);
        CountAlignment(area, -1);
        _pins.Unmap(area);
        _mappedBytes -= area.Length;
        CheckInvariants();
    }
}
