using System.Diagnostics;
using IommuFd.GrainInterfaces;
using IommuFd.Grains.IoPagetable.Trees;

namespace IommuFd.Grains.IoPagetable;

// IOVAs that can't be mapped. Each reservation has an owner, with whom it goes: a device, a domain whose aperture ends there, or
// nobody, for reservations that stay as long as the table. Reservations overlap as they like, those of one owner too, so what is
// asked for all the time, the reserved IOVAs whoever reserved them, is kept beside them, joined to spans.
//
// Always: the spans cover exactly the IOVAs that some owner has reserved, and no two spans overlap or touch, so that between two
// of them there is a hole.

/// <summary>The reserved IOVAs of a table, by owner and joined.</summary>
internal sealed class ReservedRanges
{
    /// <summary>No reservation, for all the tables that have none: most have not, and room for some is a third of what an empty table costs.</summary>
    public static readonly ReservedRanges None = new();

    private static readonly object Nobody = new();

    private readonly Dictionary<object, List<IovaRange>> _byOwner = [];

    // Domains of one kind reserve the same IOVAs, each for itself: by counting equal ranges, one that goes costs by how many different ones there are.
    private readonly Dictionary<IovaRange, int> _byRange = [];
    private RangeTree<object?> _spans = new();

    /// <summary>Number of reservations.</summary>
    public int Count { get; private set; }

    /// <summary>Number of holes between, before and behind the spans.</summary>
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

    /// <summary>All reservations, in no order; the owner is null where nobody owns it.</summary>
    public IEnumerable<(IovaRange Range, object? Owner)> All
        => _byOwner.SelectMany(pair => pair.Value.Select(range => (range, pair.Key == Nobody ? null : pair.Key)));

    /// <summary>The reserved IOVAs whoever reserved them, joined and ascending.</summary>
    public IEnumerable<IovaRange> Spans => _spans.Entries.Select(entry => entry.Range);

    /// <summary>The lowest reserved span that has an IOVA of a range, if any.</summary>
    public IovaRange? First(IovaRange within) => _spans.TryFirst(within, out var entry) ? entry.Range : null;

    /// <summary>Whether any IOVA of a range is reserved.</summary>
    public bool Overlaps(IovaRange range) => _spans.Overlaps(range);

    /// <summary>Reserves a range for an owner, or for nobody. Not for <see cref="None"/>, which stays as it is.</summary>
    public void Add(IovaRange range, object? owner)
    {
        Debug.Assert(this != None, "What all tables share does not change.");
        if (!_byOwner.TryGetValue(owner ?? Nobody, out var owned))
        {
            _byOwner.Add(owner ?? Nobody, owned = []);
        }

        owned.Add(range);
        Count++;
        _byRange[range] = _byRange.GetValueOrDefault(range) + 1;
        Join(range);
    }

    /// <summary>Gives up everything that an owner has reserved. Others may have reserved the same IOVAs: those stay.</summary>
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

    /// <summary>Finds the first hole within a range that takes a request.</summary>
    public bool TryFindHole(IovaRange within, in HoleRequest request, out IovaRange hole) => _spans.TryFindHole(within, request, out hole, out _);

    /// <summary>Throws where something that must always hold does not.</summary>
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

    // Takes ranges from the counts; says whether one of them is reserved by nobody else.
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
