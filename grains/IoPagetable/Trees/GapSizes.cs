using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace IommuFd.Grains.IoPagetable.Trees;

// How much of a gap between two ranges a search can use, by how the search moves the gap's start. A search for an automatic IOVA prunes by
// the lane of its own alignment, so gaps that are long enough but badly aligned cost it nothing.
//
//   lane 0         from the start itself: the plain size
//   lane 1         from the start of the page that the gap starts in, for searches that add an offset in the page
//   lanes 2 to 11  from the start rounded up to 2^12, 2^13, ... 2^21: a page to a huge page
//
// All lanes are computed at once, because every map and unmap does it; Vector256 falls back to plain code where the machine has no such
// registers. Always: no lane of a gap inside another exceeds the other's.

/// <summary>Sizes in bytes of a gap; or the largest of several gaps, lane by lane. All zero for no gap.</summary>
internal readonly struct GapSizes : IEquatable<GapSizes>
{
    public const int PlainLane = 0;
    public const int PageLane = 1;
    private const int Lanes = 12;

    private readonly Vector256<ulong> _low;
    private readonly Vector256<ulong> _middle;
    private readonly Vector256<ulong> _high;

    private GapSizes(Vector256<ulong> low, Vector256<ulong> middle, Vector256<ulong> high)
    {
        _low = low;
        _middle = middle;
        _high = high;
    }

    /// <summary>The size in one lane.</summary>
    public ulong this[int lane]
    {
        get
        {
            ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual((uint)lane, (uint)Lanes, nameof(lane));
            return Unsafe.Add(ref Unsafe.As<GapSizes, ulong>(ref Unsafe.AsRef(in this)), lane);
        }
    }

    /// <summary>The lane that rounds up to an alignment, a power of two and at most a huge page; below a page, the plain one.</summary>
    public static int LaneOf(ulong alignment)
        => alignment < PageSizes.Page ? PlainLane : BitOperations.Log2(alignment / PageSizes.Page) + 2;

    /// <summary>The sizes of the gap between two ranges, exclusive of both; zero if they touch.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static GapSizes Between(ulong lowLast, ulong highStart)
    {
        if (lowLast + 1 == highStart)
        {
            return default;
        }

        var starts = Vector256.Create(lowLast + 1);
        var ends = Vector256.Create(highStart);
        var middle = Vector256.Create(0x3FFFUL, 0x7FFF, 0xFFFF, 0x1FFFF);
        var high = Vector256.Create(0x3FFFFUL, 0x7FFFF, 0xFFFFF, 0x1FFFFF);
        return new GapSizes(
            Left(starts, ends, Vector256.Create(0UL, 0, 0xFFF, 0x1FFF), Vector256.Create(0UL, 0xFFF, 0xFFF, 0x1FFF)),
            Left(starts, ends, middle, middle),
            Left(starts, ends, high, high));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static GapSizes Max(in GapSizes left, in GapSizes right) => new(
        Vector256.Max(left._low, right._low),
        Vector256.Max(left._middle, right._middle),
        Vector256.Max(left._high, right._high));

    /// <summary>
    /// The largest sizes once gaps of <paramref name="gained"/> sizes have replaced gaps of <paramref name="lost"/> sizes; false if
    /// unknown, because the largest in some lane was lost and none as large was gained.
    /// </summary>
    public bool TryReplace(in GapSizes lost, in GapSizes gained, out GapSizes largest)
    {
        largest = Max(this, gained);
        var unknown = Unknown(_low, lost._low, gained._low) | Unknown(_middle, lost._middle, gained._middle) | Unknown(_high, lost._high, gained._high);
        return unknown == Vector256<ulong>.Zero;
    }

    public bool Equals(GapSizes other) => _low == other._low && _middle == other._middle && _high == other._high;

    public override bool Equals(object? obj) => obj is GapSizes other && Equals(other);

    public override int GetHashCode() => HashCode.Combine(_low, _middle, _high);

    // What is left up to the ends from (starts + add) with the mask's bits cleared; nothing if that addition passes 2^64.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<ulong> Left(Vector256<ulong> starts, Vector256<ulong> ends, Vector256<ulong> add, Vector256<ulong> mask)
    {
        var sum = starts + add;
        var from = Vector256.AndNot(sum, mask);
        return Vector256.AndNot(Vector256.Max(ends, from) - from, Vector256.LessThan(sum, starts));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<ulong> Unknown(Vector256<ulong> largest, Vector256<ulong> lost, Vector256<ulong> gained)
        => Vector256.Equals(lost, largest) & Vector256.LessThan(gained, lost);
}
