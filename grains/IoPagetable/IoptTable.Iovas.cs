using System.Diagnostics;
using System.Numerics;
using IommuFd.GrainInterfaces;
using IommuFd.Grains.IoPagetable.Trees;
using IommuFd.Uapi;

namespace IommuFd.Grains.IoPagetable;

// Which IOVAs a mapping may get. A fixed IOVA is only checked. An automatic one is the first that Linux would find: it tries allowed
// stretches in ascending order, in each the holes between reserved and mapped IOVAs in ascending order, and each hole once (HoleRequest).
// Linux walks all holes; here both trees skip to the first that may fit, so the same answer costs O(log n).

internal sealed partial class IoptTable
{
    // The first and the last page of the IOVA space are never chosen, so that an automatic IOVA is not 0.
    private static readonly IovaRange Choosable = new(PageSizes.Page, ulong.MaxValue - PageSizes.Page);

    private ReservedRanges _reserved = ReservedRanges.None;
    private AllowedRanges _allowed = AllowedRanges.None;

    /// <summary>What IOVAs, lengths and offsets in a page must be multiples of: a power of two, at most the page size.</summary>
    public ulong IovaAlignment { get; private set; } = 1;

    /// <summary>Whether pages are mapped one by one even where they could be combined into large ones.</summary>
    public bool LargePagesDisabled { get; private set; }

    /// <summary>The reserved IOVAs.</summary>
    public ReservedRanges Reserved => _reserved;

    /// <summary>The allowed IOVAs.</summary>
    public AllowedRanges Allowed => _allowed;

    /// <summary>Replaces the allowed IOVAs (<c>iopt_set_allow_iova</c>); EADDRINUSE if one is reserved.</summary>
    public Errno SetAllowed(AllowedRanges allowed)
    {
        foreach (var range in allowed.Ranges)
        {
            if (_reserved.Overlaps(range))
            {
                return Errno.EADDRINUSE;
            }
        }

        _allowed = allowed;
        CheckInvariants();
        return Errno.None;
    }

    /// <summary>Reserves IOVAs (<c>iopt_reserve_iova</c>); EADDRINUSE if one is mapped or allowed. Reservations may overlap.</summary>
    /// <param name="range">The IOVAs.</param>
    /// <param name="owner">The owner, with which the reservation goes; null for a permanent one.</param>
    public Errno Reserve(IovaRange range, object? owner)
    {
        if (_areas.Overlaps(range) || _allowed.Overlaps(range))
        {
            return Errno.EADDRINUSE;
        }

        if (_reserved == ReservedRanges.None)
        {
            _reserved = new ReservedRanges();
        }

        _reserved.Add(range, owner);
        CheckInvariants();
        return Errno.None;
    }

    /// <summary>Removes an owner's reservations (<c>iopt_remove_reserved_iova</c>).</summary>
    public void RemoveReserved(object owner)
    {
        _reserved.RemoveAll(owner);
        CheckInvariants();
    }

    /// <summary>Allows large pages again (<c>iopt_enable_large_pages</c>).</summary>
    public void EnableLargePages()
    {
        LargePagesDisabled = false;
        RelaxAlignment();
    }

    /// <summary>
    /// Forbids large pages (<c>iopt_disable_large_pages</c>); EINVAL if a domain may have mapped some, EADDRINUSE if an area is not aligned
    /// to pages.
    /// </summary>
    public Errno DisableLargePages()
    {
        var before = LargePagesDisabled;
        if (!before && _domains.Length > 0 && AreaCount > 0)
        {
            return Errno.EINVAL;
        }

        LargePagesDisabled = true;
        var errno = CalculateIovaAlignment();
        if (errno != Errno.None)
        {
            LargePagesDisabled = before;
        }

        return errno;
    }

    /// <summary>The largest hole available to automatic IOVAs, in bytes, whatever its alignment. A single IOVA is not a hole.</summary>
    public ulong LargestHole()
    {
        var largest = 0UL;
        for (var from = Choosable.Start; _allowed.TryNextStretch(from, Choosable.Last, out var stretch); from = stretch.Last + 1)
        {
            for (var start = stretch.Start; TryNextUnreserved(start, stretch.Last, new HoleRequest(largest + 1, 1, 0), out var window); start = window.Last + 1)
            {
                largest = Math.Max(largest, _areas.LargestGap(window));
            }
        }

        return largest > 1 ? largest : 0;
    }

    // The one place that knows what the alignment depends on.
    private ulong RequiredAlignment
    {
        get
        {
            var alignment = LargePagesDisabled || _pinningAccesses > 0 ? PageSizes.Page : 1;
            foreach (var domain in _domains)
            {
                alignment = Math.Max(alignment, domain.PageSize);
            }

            return alignment;
        }
    }

    // iopt_calculate_iova_alignment.
    private Errno CalculateIovaAlignment()
    {
        var alignment = RequiredAlignment;
        if (alignment > IovaAlignment && !AreAreasAligned(alignment))
        {
            return Errno.EADDRINUSE;
        }

        IovaAlignment = alignment;
        CheckInvariants();
        return Errno.None;
    }

    // iopt_check_iova_alignment, from counts, so that attaching a device does not visit every area.
    private bool AreAreasAligned(ulong alignment)
        => _areasByAlignment is null || _areasByAlignment.AsSpan(0, BitOperations.TrailingZeroCount(alignment)).IndexOfAnyExcept(0) < 0;

    // Counts an area under n, where its alignment is 2^n.
    private void CountAlignment(IoptArea area, int change)
        => (_areasByAlignment ??= new int[BitOperations.TrailingZeroCount(PageSizes.Page) + 1])[BitOperations.TrailingZeroCount(area.Alignment)] += change;

    // iopt_check_iova: whether a mapping can be at a fixed IOVA.
    private Errno CheckIova(ulong iova, ulong length)
    {
        if ((iova & (IovaAlignment - 1)) != 0)
        {
            return Errno.EINVAL;
        }

        if (!IovaRange.TryOfLength(iova, length, out var range))
        {
            return Errno.EOVERFLOW;
        }

        if (_reserved.Overlaps(range))
        {
            return Errno.EINVAL;
        }

        return _areas.Overlaps(range) ? Errno.EEXIST : Errno.None;
    }

    // iopt_alloc_iova: chooses an IOVA for memory at an address.
    private Errno AllocateIova(ulong address, ulong length, out ulong iova)
    {
        iova = 0;
        if (length >= ulong.MaxValue / 2)
        {
            return Errno.EOVERFLOW;
        }

        var alignment = HoleRequest.AlignmentFor(address, length);
        if (alignment < IovaAlignment)
        {
            return Errno.EINVAL;
        }

        var request = new HoleRequest(length, alignment, PageSizes.OffsetOf(address));
        for (var from = Choosable.Start; _allowed.TryNextStretch(from, Choosable.Last, out var stretch); from = stretch.Last + 1)
        {
            // A stretch gets one try too: if its own start, moved like a hole's, leaves too little room, its holes are not tried.
            if (request.Fits(stretch, out var start) && TryFindHole(start, stretch.Last, request, out iova))
            {
                Debug.Assert(CheckIova(iova, length) == Errno.None, "A chosen IOVA passes the checks of a fixed one.");
                return Errno.None;
            }
        }

        return Errno.ENOSPC;
    }

    private bool TryFindHole(ulong from, ulong last, in HoleRequest request, out ulong iova)
    {
        for (; TryNextUnreserved(from, last, request.WithoutPageOffset, out var window); from = window.Last + 1)
        {
            if (_areas.TryFindHole(window, request, out _, out iova))
            {
                return true;
            }
        }

        iova = 0;
        return false;
    }

    private bool TryNextUnreserved(ulong from, ulong last, in HoleRequest request, out IovaRange window)
    {
        window = default;
        return from <= last && _reserved.TryFindHole(new IovaRange(from, last), request, out window);
    }
}
