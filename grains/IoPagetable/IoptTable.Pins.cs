using IommuFd.GrainInterfaces;
using IommuFd.Grains.IoPagetable.Pins;
using IommuFd.Uapi;

namespace IommuFd.Grains.IoPagetable;

// What accesses do with mapped IOVAs: pin the pages behind them, or look them up once to copy bytes. An area counts its pins; IoasAccesses
// knows which access has them, and the table has it drop them before an area is unmapped (RevokePins).

internal sealed partial class IoptTable
{
    /// <summary>Pins, each counted once per area that it overlaps. Visits every area.</summary>
    public long PinnedAreaCount => Areas.Sum(area => (long)area.Pins);

    /// <summary>Makes accesses drop all their pins in a range before it returns (<c>iommufd_access_notify_unmap</c>).</summary>
    public Action<IovaRange>? RevokePins { get; set; }

    /// <summary>Pins the pages behind a contiguously mapped range (<c>iommufd_access_pin_pages</c>): all of them, or none.</summary>
    /// <param name="iova">The first IOVA.</param>
    /// <param name="length">Bytes.</param>
    /// <param name="write">Whether they will be written.</param>
    /// <param name="locks">Whether the areas can't be unmapped while the pin lasts.</param>
    /// <param name="slices">Receives the pages, one slice per area; empty on failure.</param>
    /// <param name="look">Looks at the memory.</param>
    public Errno Pin(ulong iova, ulong length, bool write, bool locks, List<PagesSlice> slices, PinLook? look = null)
    {
        var areas = new List<IoptArea>();
        look ??= new PinLook(default);
        var errno = Walk(iova, length, slices, (area, slice, isLast) => CheckPin(area, slice, isLast, write, look) is var error && error == Errno.None
            ? Keep(areas, area)
            : error);
        errno = look.Conclude(errno);
        errno = errno == Errno.None && _domains.Length == 0 ? look.Charge(PinCounter.PriceOf(slices)) : errno;
        if (errno != Errno.None)
        {
            slices.Clear();
            return errno;
        }

        for (var i = 0; i < areas.Count; i++)
        {
            CountPin(areas[i], slices[i], 1, locks);
        }

        return Errno.None;
    }

    /// <summary>Drops a pin that <see cref="Pin"/> has taken (<c>iommufd_access_unpin_pages</c>).</summary>
    public void Unpin(PinnedRange pinned)
    {
        var range = pinned.Range;
        for (var rest = range; FirstArea(rest) is { } area; rest = rest with { Start = area.Range.Last + 1 })
        {
            CountPin(area, SliceOf(area, rest), -1, pinned.IsLocked);
            if (area.Range.Last >= range.Last)
            {
                return;
            }
        }

        Require(false, "A pinned range is mapped.");
    }

    /// <summary>Finds the pages behind a contiguously mapped range, to copy bytes from or to them (<c>iommufd_access_rw</c>).</summary>
    /// <param name="iova">The first IOVA.</param>
    /// <param name="length">Bytes.</param>
    /// <param name="write">Whether they will be written.</param>
    /// <param name="slices">Receives the pages, one slice per area; on failure those before the first that fails, which Linux has copied by then.</param>
    /// <param name="look">Looks at the memory.</param>
    public Errno Resolve(ulong iova, ulong length, bool write, List<PagesSlice> slices, PinLook? look = null)
    {
        look ??= new PinLook(default);
        return look.Conclude(Walk(iova, length, slices, (area, slice, _) => CheckCopy(area, slice, write, look)));
    }

    /// <summary>Finds the pages behind a contiguously mapped range, as a domain does for a device.</summary>
    /// <param name="iova">The first IOVA.</param>
    /// <param name="length">Bytes.</param>
    /// <param name="write">Whether the device writes them.</param>
    /// <param name="slices">Receives the pages, one slice per area; meaningless on failure.</param>
    public Errno Translate(ulong iova, ulong length, bool write, List<PagesSlice> slices)
        => Walk(iova, length, slices, (area, slice, _) => CheckDma(area, slice, write));

    /// <summary>How many bytes of pages, from one on, are pinned here without a gap: by a domain, or by accesses.</summary>
    /// <param name="pages">The pages.</param>
    /// <param name="startByte">The first byte, from the first page's start.</param>
    /// <param name="pins">The pins of accesses.</param>
    public ulong PinnedBytes(PagesId pages, ulong startByte, IEnumerable<PinnedRange> pins)
    {
        var end = startByte;
        foreach (var slice in PinnedSlices(pins).Where(slice => slice.Pages.Id == pages).OrderBy(slice => slice.StartByte))
        {
            if (PageSizes.RoundDown(slice.StartByte) > end)
            {
                break;
            }

            end = Math.Max(end, ((slice.StartByte + (slice.Length - 1)) | (PageSizes.Page - 1)) + 1);
        }

        return end - startByte;
    }

    /// <summary>What is pinned: all that is mapped while there is a domain, else what accesses have pinned.</summary>
    /// <param name="pins">The pins of accesses.</param>
    public IEnumerable<PagesSlice> PinnedSlices(IEnumerable<PinnedRange> pins)
    {
        return _domains.Length > 0 ? Areas.Select(area => area.Slice) : pins.SelectMany(SlicesOf);

        List<PagesSlice> SlicesOf(PinnedRange pin)
        {
            var slices = new List<PagesSlice>();
            GetPages(pin.Range.Start, pin.Range.LengthBytes, slices);
            return slices;
        }
    }

    /// <summary>Where <see cref="Pin"/> or <see cref="Resolve"/> of a range stops: the first IOVA of the area that refuses, or that is not mapped; the range's end if all of it will do.</summary>
    /// <param name="iova">The first IOVA.</param>
    /// <param name="length">Bytes.</param>
    /// <param name="write">Whether they will be written.</param>
    /// <param name="use">What they are for.</param>
    /// <param name="look">Looks at the memory, with what was known when it was refused.</param>
    public ulong StopOf(ulong iova, ulong length, bool write, PagesUse use, PinLook look)
    {
        var slices = new List<PagesSlice>();
        Walk(iova, length, slices, (area, slice, isLast) => use switch
        {
            PagesUse.Pin => CheckPin(area, slice, isLast, write, look),
            PagesUse.Copy => CheckCopy(area, slice, write, look),
            _ => CheckDma(area, slice, write),
        });
        return slices.Aggregate(iova, (end, slice) => end + slice.Length);
    }

    /// <summary>
    /// The IOVA at an offset from the start of the n-th area, for programs that know no IOVA; 0 if there is no such area.
    /// </summary>
    public ulong IovaInArea(uint number, uint offset)
        => Areas.Skip((int)Math.Min(number, int.MaxValue)).FirstOrDefault() is { } area ? area.Range.Start + offset : 0;

    // Visits the areas of a range from its first IOVA on (iopt_for_each_contig_area), as many as one reply carries. An error from visiting an area takes precedence over
    // ENOENT for a gap behind it.
    private Errno Walk(ulong iova, ulong length, List<PagesSlice> slices, Func<IoptArea, PagesSlice, bool, Errno> visit)
    {
        if (length == 0)
        {
            return Errno.EINVAL;
        }

        if (!IovaRange.TryOfLength(iova, length, out var rest))
        {
            return Errno.EOVERFLOW;
        }

        var errno = Errno.ENOENT;
        while (FirstArea(new IovaRange(rest.Start, rest.Start)) is { } area)
        {
            if (slices.Count == IoctlLimits.MaxAccessPieces)
            {
                slices.Clear();
                return Errno.ENOMEM;
            }

            var last = Math.Min(rest.Last, area.Range.Last);
            var slice = new PagesSlice(area.Pages, area.StartByteOf(rest.Start), last - rest.Start + 1);
            errno = visit(area, slice, last == rest.Last);
            if (errno != Errno.None)
            {
                break;
            }

            slices.Add(slice);
            if (last == rest.Last)
            {
                return Errno.None;
            }

            errno = Errno.ENOENT;
            rest = rest with { Start = last + 1 };
        }

        return errno;
    }

    private static Errno Keep(List<IoptArea> areas, IoptArea area)
    {
        areas.Add(area);
        return Errno.None;
    }

    private Errno CheckPin(IoptArea area, PagesSlice slice, bool isLast, bool write, PinLook look)
    {
        // A pin lists whole pages: each slice must begin with a page, and each but the last must end with one.
        if (PageSizes.OffsetOf(slice.StartByte) != 0 || (!isLast && PageSizes.OffsetOf(slice.StartByte + slice.Length) != 0))
        {
            return Errno.EINVAL;
        }

        var errno = CheckAccess(area, slice, write);
        return errno != Errno.None ? errno : slice.Pages.IsDmaBuf ? Errno.EINVAL : CheckPinnable(slice, look);
    }

    // Pages of a file are pinned to be copied; those of the caller's memory are copied by their addresses, where the caller's side finds a fault.
    private Errno CheckCopy(IoptArea area, PagesSlice slice, bool write, PinLook look)
    {
        var errno = CheckAccess(area, slice, write);
        return errno != Errno.None || slice.Pages.File is null ? errno : slice.Pages.IsDmaBuf ? Errno.EINVAL : CheckPinnable(slice, look);
    }

    // What a domain maps is pinned, or is a dma-buf, which it maps until that is revoked.
    private static Errno CheckDma(IoptArea area, PagesSlice slice, bool write) => slice.Pages.IsRevoked ? Errno.ENOENT : CheckAccess(area, slice, write);

    // What a domain has pinned stays pinned.
    private Errno CheckPinnable(PagesSlice slice, PinLook look) => _domains.Length > 0 ? Errno.None : look.Check(slice);

    private static Errno CheckAccess(IoptArea area, PagesSlice slice, bool write)
        => area.Prot.HasFlag(write ? IommuProt.Write : IommuProt.Read) && (!write || slice.Pages.Writable) ? Errno.None : Errno.EPERM;

    private static PagesSlice SliceOf(IoptArea area, IovaRange range)
        => new(area.Pages, area.StartByteOf(range.Start), Math.Min(range.Last, area.Range.Last) - range.Start + 1);

    private void CountPin(IoptArea area, PagesSlice slice, int change, bool locks)
    {
        _pins.Share(area);
        _pins.Pin(slice, change);
        area.Pins += change;
        area.Locks += locks ? change : 0;
        Require(area.Pins >= area.Locks && area.Locks >= 0, "A pin is dropped once.");
    }
}

/// <summary>What pages behind IOVAs are looked up for.</summary>
internal enum PagesUse
{
    /// <summary>An access pins them.</summary>
    Pin,

    /// <summary>An access copies from or to them.</summary>
    Copy,

    /// <summary>A device reads or writes them.</summary>
    Dma,
}

/// <summary>IOVAs that an access has pinned.</summary>
/// <param name="Range">The IOVAs.</param>
/// <param name="IsLocked">Whether they can't be unmapped.</param>
internal readonly record struct PinnedRange(IovaRange Range, bool IsLocked);
