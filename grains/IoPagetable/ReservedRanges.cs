using System.Diagnostics;
using IommuFd.GrainInterfaces;
using IommuFd.Grains.IoPagetable.Trees;

namespace IommuFd.Grains.IoPagetable;

// IOVAs that can't be mapped. A reservation goes with its owner: a device, or a domain whose aperture excludes the IOVAs. One without an
// owner stays as long as the table. Reservations may overlap, even those of one owner. Most lookups only ask whether an IOVA is reserved at
// all, so the reserved IOVAs of all owners are kept beside the reservations, joined into spans.
//
// Always: the spans cover exactly the reserved IOVAs, and no two of them overlap or touch, so there is a hole between any two.

/// <summary>The reserved IOVAs of a table, by owner and joined.</summary>
internal sealed class ReservedRanges
{
    /// <summary>
    /// Shared by all tables without reservations, which are most; an instance of its own would be a third of an empty table's memory.
    /// </summary>
    public static readonly ReservedRanges None = new();

    private static readonly object Nobody = new();

    private readonly Dictionary<object, List<IovaRange>> _byOwner = [];

    // Domains of one kind reserve the same IOVAs, each for itself. Equal ranges are counted, so removing a domain costs by the number of
    // distinct ranges.
    private readonly Dictionary<IovaRange, int> _byRange = [];
    private RangeTree<object?> _spans = new();

    /// <summary>Number of reservations.</summary>
    public int Count { get; private set; }

    /// <summary>Number of holes before, between and after the spans.</summary>
    public int HoleCount
    {
        get
        {
            var holes = _spans.Count + 1;
            holes -= _spans.Overlaps(new IovaRange(0, 0)) ? 1 : 0;
            holes -= _spans.Overlaps(new IovaRange(ulong.MaxValue, ulong.MaxValue)) ? 1 : 0;
            return holes;
        }
    }

    /// <summary>The IOVAs that are not reserved, ascending.</summary>
    public IEnumerable<IovaRange> Holes
    {
        get
        {
            var start = 0UL;
            foreach (var span in _spans.Entries)
            {
                if (span.Range.Start > start)
                {
                    yield return new IovaRange(start, span.Range.Start - 1);
                }

                if (span.Range.Last == ulong.MaxValue)
                {
                    yield break;
                }

                start = span.Range.Last + 1;
            }

            yield return new IovaRange(start, ulong.MaxValue);
        }
    }

    /// <summary>All reservations, in no particular order; the owner is null for a permanent one.</summary>
    public IEnumerable<(IovaRange Range, object? Owner)> All
        => _byOwner.SelectMany(pair => pair.Value.Select(range => (range, pair.Key == Nobody ? null : pair.Key)));

    /// <summary>The reserved IOVAs of all owners, joined and ascending.</summary>
    public IEnumerable<IovaRange> Spans => _spans.Entries.Select(entry => entry.Range);

    /// <summary>The lowest reserved span that overlaps a range, if any.</summary>
    public IovaRange? First(IovaRange within) => _spans.TryFirst(within, out var entry) ? entry.Range : null;

    /// <summary>Whether any IOVA of a range is reserved.</summary>
    public bool Overlaps(IovaRange range) => _spans.Overlaps(range);

    /// <summary>Reserves a range for an owner, or permanently. Never called on <see cref="None"/>.</summary>
    public void Add(IovaRange range, object? owner)
    {
        Debug.Assert(this != None, "The shared instance never changes.");
        if (!_byOwner.TryGetValue(owner ?? Nobody, out var owned))
        {
            _byOwner.Add(owner ?? Nobody, owned = []);
        }

        owned.Add(range);
        Count++;
        _byRange[range] = _byRange.GetValueOrDefault(range) + 1;
        Join(range);
    }

    /// <summary>Removes an owner's reservations. IOVAs that another owner has reserved too stay reserved.</summary>
    public void RemoveAll(object owner)
    {
        if (_byOwner.Remove(owner, out var given))
        {
            Count -= given.Count;
            if (Forget(given))
            {
                _spans = new RangeTree<object?>();
                foreach (var range in _byRange.Keys)
                {
                    Join(range);
                }
            }
        }
    }

    /// <summary>Finds the first hole within a range that fits a request.</summary>
    public bool TryFindHole(IovaRange within, in HoleRequest request, out IovaRange hole) => _spans.TryFindHole(within, request, out hole, out _);

    /// <summary>Throws if an invariant does not hold.</summary>
    public void Validate()
    {
        _spans.Validate();
        var expected = new List<IovaRange>();
        foreach (var (range, _) in All.OrderBy(reserved => reserved.Range.Start))
        {
            var touches = expected.Count > 0 && (expected[^1].Last == ulong.MaxValue || range.Start <= expected[^1].Last + 1);
            if (touches)
            {
                expected[^1] = expected[^1] with { Last = Math.Max(expected[^1].Last, range.Last) };
            }
            else
            {
                expected.Add(range);
            }
        }

        if (!expected.SequenceEqual(_spans.Entries.Select(span => span.Range)))
        {
            throw new InvalidOperationException("The spans are not the reservations, joined.");
        }
    }

    // Removes ranges from the counts; returns whether any of them has no other reservation.
    private bool Forget(List<IovaRange> ranges)
    {
        var isLast = false;
        foreach (var range in ranges)
        {
            if (--_byRange[range] == 0)
            {
                _byRange.Remove(range);
                isLast = true;
            }
        }

        return isLast;
    }

    private void Join(IovaRange range)
    {
        var touching = new IovaRange(Math.Max(range.Start, 1) - 1, Math.Min(range.Last, ulong.MaxValue - 1) + 1);
        while (_spans.TryFirst(touching, out var span))
        {
            _spans.Remove(span.Range.Start);
            range = new IovaRange(Math.Min(range.Start, span.Range.Start), Math.Max(range.Last, span.Range.Last));
        }

        _spans.TryInsert(range, null);
    }
}
