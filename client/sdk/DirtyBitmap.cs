using System.Numerics;
using IommuFd.GrainInterfaces;

namespace IommuFd.Client;

// Stored as runs of dirty pages, not as bits: few of the pages in a range are dirty.

/// <summary>Which pages of a range devices have written. Does not change after it was read.</summary>
public sealed class DirtyBitmap
{
    // No IOAS needs a larger alignment than a page of the machine.
    private const ulong SplitUnitBytes = 4096;

    private readonly int _shift;
    private readonly List<IovaRange> _runs = [];

    internal DirtyBitmap(IovaRange range, ulong pageSizeBytes)
    {
        Range = range;
        PageSizeBytes = pageSizeBytes;
        _shift = BitOperations.TrailingZeroCount(pageSizeBytes);
    }

    /// <summary>The range that was read.</summary>
    public IovaRange Range { get; }

    /// <summary>The size of a page in bytes.</summary>
    public ulong PageSizeBytes { get; }

    /// <summary>The dirty pages in ascending order, with adjacent pages joined.</summary>
    public IReadOnlyList<IovaRange> DirtyRanges => _runs;

    /// <summary>How many pages are dirty.</summary>
    public ulong DirtyPages => _runs.Aggregate(0UL, (sum, run) => sum + (run.LengthBytes >> _shift));

    /// <summary>Whether the page of an IOVA is dirty.</summary>
    /// <param name="iova">Any IOVA. A page outside the range is not dirty.</param>
    /// <returns>True if the page is dirty.</returns>
    public bool IsDirty(Iova iova)
    {
        var (low, high) = (0, _runs.Count - 1);
        while (low <= high)
        {
            var middle = (low + high) / 2;
            if (iova.Value < _runs[middle].Start)
            {
                high = middle - 1;
            }
            else if (iova.Value > _runs[middle].Last)
            {
                low = middle + 1;
            }
            else
            {
                return true;
            }
        }

        return false;
    }

    // Halves a part whose dirty bits do not fit into one reply.
    internal bool TrySplit(IovaRange part, out IovaRange low, out IovaRange high)
    {
        (low, high) = (part, part);
        var unit = Math.Max(PageSizeBytes, SplitUnitBytes);
        var half = (part.LengthBytes / 2) & ~(unit - 1);
        if (!BitOperations.IsPow2(PageSizeBytes) || half == 0)
        {
            return false;
        }

        (low, high) = (part with { Last = part.Start + half - 1 }, part with { Start = part.Start + half });
        return true;
    }

    // Adds the bytes of a part's bitmap that one reply has.
    internal void Add(IovaRange part, ulong offset, ReadOnlySpan<byte> bits)
    {
        for (var i = 0; i < bits.Length; i++)
        {
            for (var rest = bits[i]; rest != 0; rest &= (byte)(rest - 1))
            {
                var page = ((offset + (ulong)i) * 8) + (ulong)BitOperations.TrailingZeroCount(rest);
                var start = part.Start + (page << _shift);
                AddRun(new IovaRange(start, start + (PageSizeBytes - 1)));
            }
        }
    }

    private void AddRun(IovaRange page)
    {
        if (_runs.Count > 0 && _runs[^1].Last + 1 == page.Start)
        {
            _runs[^1] = _runs[^1] with { Last = page.Last };
        }
        else
        {
            _runs.Add(page);
        }
    }
}
