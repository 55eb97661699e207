using IommuFd.GrainInterfaces;
using IommuFd.Uapi;

namespace IommuFd.Grains.IoPagetable;

// The IOVAs that a program wants to keep usable (IOMMU_IOAS_ALLOW_IOVAS). They bind in two ways: nothing allowed can become
// reserved, and automatic IOVAs are taken from them only; a fixed IOVA may lie elsewhere. Without any, everything is allowed.
// The list is always replaced as a whole, so it is a sorted array that never changes.
//
// Always: ranges ascend, do not overlap (they may touch), and have at least two IOVAs each.

/// <summary>An immutable list of allowed ranges.</summary>
internal sealed class AllowedRanges
{
    /// <summary>No list: everything is allowed.</summary>
    public static readonly AllowedRanges None = new([]);

    private readonly IovaRange[] _ranges;

    private AllowedRanges(IovaRange[] ranges) => _ranges = ranges;

    public bool IsEmpty => _ranges.Length == 0;

    /// <summary>The ranges, ascending.</summary>
    public ReadOnlySpan<IovaRange> Ranges => _ranges;

    /// <summary>
    /// Creates the list from ranges in any order; EINVAL if one is not ascending, has a single IOVA, or overlaps another.
    /// </summary>
    public static Errno Create(ReadOnlySpan<IommuIovaRange> ranges, out AllowedRanges allowed)
    {
        allowed = None;
        var sorted = new IovaRange[ranges.Length];
        for (var i = 0; i < ranges.Length; i++)
        {
            if (ranges[i].Start >= ranges[i].Last)
            {
                return Errno.EINVAL;
            }

            sorted[i] = new IovaRange(ranges[i].Start, ranges[i].Last);
        }

        Array.Sort(sorted, static (left, right) => left.Start.CompareTo(right.Start));
        for (var i = 1; i < sorted.Length; i++)
        {
            if (sorted[i].Start <= sorted[i - 1].Last)
            {
                return Errno.EINVAL;
            }
        }

        allowed = sorted.Length == 0 ? None : new AllowedRanges(sorted);
        return Errno.None;
    }

    /// <summary>Whether any IOVA of a range is in the list. An empty list contains none, although it allows everything.</summary>
    public bool Overlaps(IovaRange range)
    {
        var index = IndexByLast(range.Start);
        return index < _ranges.Length && _ranges[index].Start <= range.Last;
    }

    /// <summary>The lowest range that overlaps another, if any.</summary>
    public IovaRange? First(IovaRange within) => Overlaps(within) ? _ranges[IndexByLast(within.Start)] : null;

    /// <summary>The first contiguous stretch of allowed IOVAs between two IOVAs. Ranges that touch form one stretch.</summary>
    public bool TryNextStretch(ulong from, ulong last, out IovaRange stretch)
    {
        if (IsEmpty)
        {
            stretch = new IovaRange(from, last);
            return from <= last;
        }

        stretch = default;
        var index = IndexByLast(from);
        if (from > last || index == _ranges.Length || _ranges[index].Start > last)
        {
            return false;
        }

        stretch = new IovaRange(Math.Max(_ranges[index].Start, from), _ranges[index].Last);
        while (stretch.Last < last && ++index < _ranges.Length && _ranges[index].Start == stretch.Last + 1)
        {
            stretch = stretch with { Last = _ranges[index].Last };
        }

        stretch = stretch with { Last = Math.Min(stretch.Last, last) };
        return true;
    }

    // The index of the first range that does not end below an IOVA.
    private int IndexByLast(ulong iova)
    {
        int low = 0, high = _ranges.Length;
        while (low < high)
        {
            var middle = (low + high) / 2;
            (low, high) = _ranges[middle].Last < iova ? (middle + 1, high) : (low, middle);
        }

        return low;
    }
}
