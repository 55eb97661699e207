using CsCheck;
using IommuFd.GrainInterfaces;
using IommuFd.Grains.IoPagetable.Trees;

namespace IommuFd.UnitTests.IoPagetable;

// The tree against a sorted list. Trees of a few hundred to a few thousand ranges, so that nodes split, fill from their
// neighbours and join, on several levels.

public sealed class RangeTreeTests
{
    private const ulong Page = 4096;

    [Fact]
    public void Trees_hold_what_lists_hold()
    {
        var op = Gen.Select(Gen.Int[0, 9], Gen.ULong[0, 1 << 14], Gen.ULong[1, 40], Gen.Int[1, 200]);
        op.Array[1, 120].Sample(
            ops =>
            {
                var pair = new Pair();
                foreach (var (kind, at, size, times) in ops)
                {
                    pair.Step(kind, at * 64, size * 64, times);
                }

                pair.Check();
            },
            iter: 150,
            threads: 1);
    }

    [Fact]
    public void Large_trees_grow_and_shrink_to_nothing()
    {
        var tree = new RangeTree<string>();
        var random = new Random(1);
        var starts = Enumerable.Range(0, 20_000).Select(i => (ulong)i * 2 * Page).ToArray();
        random.Shuffle(starts);
        foreach (var start in starts)
        {
            Assert.True(tree.TryInsert(new IovaRange(start, start + Page - 1), "x"));
        }

        tree.Validate();
        Assert.Equal(starts.Order(), tree.Entries.Select(entry => entry.Range.Start));
        random.Shuffle(starts);
        foreach (var start in starts)
        {
            Assert.True(tree.Remove(start));
            Assert.False(tree.Remove(start));
        }

        tree.Validate();
        Assert.Equal(0, tree.Count);
        Assert.False(tree.TryFirst(IovaRange.All, out _));
    }

    [Fact]
    public void Ascending_ranges_pack_tightly_and_descending_ones_fit_too()
    {
        RangeTree<string> up = new(), down = new();
        for (ulong i = 0; i < 5000; i++)
        {
            Assert.True(up.TryInsert(new IovaRange(i * Page, (i * Page) + Page - 1), "up"));
            Assert.True(down.TryInsert(new IovaRange((5000 - i) * Page, ((5000 - i) * Page) + Page - 1), "down"));
        }

        up.Validate();
        down.Validate();
        Assert.Equal(up.Count, down.Count);
    }

    [Fact]
    public void A_range_that_overlaps_is_refused_and_nothing_changes()
    {
        var tree = Tree((10, 19), (30, 39));
        foreach (var (start, last) in new (ulong, ulong)[] { (0, 10), (19, 19), (15, 16), (19, 30), (0, 100), (39, ulong.MaxValue) })
        {
            Assert.False(tree.TryInsert(new IovaRange(start, last), ""));
        }

        Assert.Equal(2, tree.Count);
        Assert.True(tree.TryInsert(new IovaRange(20, 29), ""));
        Assert.True(tree.TryInsert(new IovaRange(0, 9), ""));
        Assert.True(tree.TryInsert(new IovaRange(40, ulong.MaxValue), ""));
        tree.Validate();
    }

    [Fact]
    public void Neighbours_are_the_nearest_ranges_wholly_above_and_below()
    {
        var tree = Tree((10, 19), (30, 39));
        Assert.False(tree.TryBelow(19, out _));
        Assert.True(tree.TryBelow(20, out var below) && below.Range.Start == 10);
        Assert.True(tree.TryBelow(35, out below) && below.Range.Start == 10);
        Assert.True(tree.TryBelow(ulong.MaxValue, out below) && below.Range.Start == 30);
        Assert.True(tree.TryAbove(0, out var above) && above.Range.Start == 10);
        Assert.True(tree.TryAbove(10, out above) && above.Range.Start == 30);
        Assert.False(tree.TryAbove(30, out _));
        Assert.False(tree.TryAbove(ulong.MaxValue, out _));
    }

    [Fact]
    public void A_tree_can_hold_every_iova()
    {
        var tree = Tree((0, ulong.MaxValue));
        Assert.Single(tree.Entries);
        Assert.False(tree.TryFindHole(IovaRange.All, new HoleRequest(1, 1, 0), out _, out _));
        Assert.True(tree.Remove(0));
        Assert.True(tree.TryFindHole(IovaRange.All, new HoleRequest(1, 1, 0), out var hole, out _));
        Assert.Equal(IovaRange.All, hole);
    }

    private static RangeTree<string> Tree(params (ulong Start, ulong Last)[] ranges)
    {
        var tree = new RangeTree<string>();
        foreach (var (start, last) in ranges)
        {
            Assert.True(tree.TryInsert(new IovaRange(start, last), ""));
        }

        return tree;
    }

    private sealed class Pair
    {
        private readonly RangeTree<string> _tree = new();
        private readonly List<IovaRange> _list = [];

        public void Step(int kind, ulong at, ulong size, int times)
        {
            for (var i = 0; i < (kind is 0 or 1 or 2 or 3 ? times : 1); i++)
            {
                // Up to 200 ranges in a row, or as many removed from here on.
                var range = new IovaRange(at, at + size - 1);
                switch (kind)
                {
                    case 0 or 1 or 2:
                        Insert(range);
                        at += kind switch { 0 => size, 1 => size * 2, _ => size + (at % 7 * Page) };
                        break;
                    case 3:
                        Remove(at);
                        break;
                    case 4:
                        Remove(at);
                        break;
                    case 5:
                        Insert(range);
                        break;
                    default:
                        Look(kind, range);
                        break;
                }
            }
        }

        public void Check()
        {
            _tree.Validate();
            Assert.Equal(_list, _tree.Entries.Select(entry => entry.Range));
        }

        private int IndexOf(ulong iova)
        {
            var index = _list.FindIndex(range => range.Last >= iova);
            return index < 0 ? _list.Count : index;
        }

        private void Insert(IovaRange range)
        {
            var index = IndexOf(range.Start);
            var free = index == _list.Count || _list[index].Start > range.Last;
            Assert.Equal(free, _tree.TryInsert(range, ""));
            if (free)
            {
                _list.Insert(index, range);
            }
        }

        private void Remove(ulong from)
        {
            var index = IndexOf(from);
            if (index < _list.Count)
            {
                Assert.True(_tree.Remove(_list[index].Start));
                _list.RemoveAt(index);
            }
        }

        private void Look(int kind, IovaRange range)
        {
            var index = IndexOf(range.Start);
            Assert.Equal(index < _list.Count && _list[index].Start <= range.Last, _tree.Overlaps(range));
            Assert.Equal(index > 0 ? _list[index - 1].Start : null, _tree.TryBelow(range.Start, out var below) ? below.Range.Start : (ulong?)null);

            // A search over a part of the tree, for a size and alignment that some gaps just have.
            var within = new IovaRange(range.Start, range.Start + ((ulong)kind * 100 * Page));
            var holes = Holes(within);
            Assert.Equal(holes.Select(hole => hole.Last - hole.Start + 1).DefaultIfEmpty(0UL).Max(), _tree.LargestGap(within));
            var length = range.Last - range.Start + 1;
            var request = kind switch
            {
                6 => new HoleRequest(length, 1, 0),
                7 => new HoleRequest(length * 8, Page << (int)(length % 10), 0),
                8 => new HoleRequest(length * 4, 64, range.Start % Page / 64 * 64),
                _ => new HoleRequest(length * 4, HoleRequest.AlignmentFor(range.Start * 8, length * 4), range.Start * 8 % Page),
            };
            ulong? expected = holes.Select(hole => request.Fits(hole, out var iova) ? iova : (ulong?)null).FirstOrDefault(iova => iova is not null);
            Assert.Equal(expected, _tree.TryFindHole(within, request, out var found, out var at) ? at : null);
            Assert.True(expected is null || holes.Contains(found));
        }

        private List<IovaRange> Holes(IovaRange within)
        {
            var holes = new List<IovaRange>();
            var start = within.Start;
            foreach (var range in _list.Where(range => range.Last >= within.Start).Append(new IovaRange(within.Last + 1, ulong.MaxValue)))
            {
                if (range.Start > start && start <= within.Last)
                {
                    holes.Add(new IovaRange(start, Math.Min(range.Start - 1, within.Last)));
                }

                start = range.Last + 1;
            }

            return holes;
        }
    }
}
