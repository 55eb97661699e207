using IommuFd.GrainInterfaces;

namespace IommuFd.Silo.Dashboard.Drawing;

// An address space has 2^64 IOVAs and areas of one page: drawn to scale, nothing would be visible. So it is cut where anything begins or ends,
// and each piece is as wide as its length has digits: larger pieces are wider, and the smallest stay visible.

/// <summary>The pieces of an address space, and where each is drawn: fractions of the whole width.</summary>
public sealed class AddressSpaceChart
{
    private AddressSpaceChart(IReadOnlyList<AddressSpacePiece> pieces) => Pieces = pieces;

    public IReadOnlyList<AddressSpacePiece> Pieces { get; }

    /// <param name="ioas">The IOAS, with a page of its areas.</param>
    /// <param name="shown">The part that the page covers; what is mapped outside it is unknown.</param>
    public static AddressSpaceChart Of(IoasState ioas, IovaRange shown)
    {
        var cuts = new SortedSet<UInt128> { shown.Start, (UInt128)shown.Last + 1 };
        foreach (var range in ioas.Areas.Select(area => area.Range).Concat(ioas.Reserved).Concat(ioas.Allowed).Where(shown.Overlaps).Select(range => new IovaRange(Math.Max(range.Start, shown.Start), Math.Min(range.Last, shown.Last))))
        {
            cuts.Add(range.Start);
            cuts.Add((UInt128)range.Last + 1);
        }

        var ends = cuts.ToList();
        var weights = Enumerable.Range(0, ends.Count - 1).Select(i => Math.Max(1, (double)UInt128.Log2(ends[i + 1] - ends[i]) - 8)).ToList();
        var (total, left) = (weights.Sum(), 0.0);
        var pieces = new List<AddressSpacePiece>();
        for (var i = 0; i < weights.Count; i++)
        {
            var range = new IovaRange((ulong)ends[i], (ulong)(ends[i + 1] - 1));
            pieces.Add(new AddressSpacePiece(
                range,
                Array.Find(ioas.Areas, area => area.Range.Overlaps(range)),
                Array.Exists(ioas.Reserved, reserved => reserved.Overlaps(range)),
                ioas.Allowed.Length == 0 || Array.Exists(ioas.Allowed, allowed => allowed.Overlaps(range)),
                left / total,
                weights[i] / total));
            left += weights[i];
        }

        return new AddressSpaceChart(pieces);
    }
}

/// <summary>A uniform part of an address space.</summary>
/// <param name="Range">The IOVAs.</param>
/// <param name="Area">What is mapped there; null for nothing.</param>
/// <param name="IsReserved">Whether nothing can be mapped there.</param>
/// <param name="IsAllowed">Whether automatic IOVAs are taken from there.</param>
/// <param name="Left">Where it begins.</param>
/// <param name="Width">How wide it is.</param>
public sealed record AddressSpacePiece(IovaRange Range, IoasArea? Area, bool IsReserved, bool IsAllowed, double Left, double Width);
