using IommuFd.GrainInterfaces;

namespace IommuFd.Grains.IoPagetable.Trees;

// An ordered set of disjoint ranges of IOVAs, each with a value, as a B+-tree: 10^6 ranges are four levels deep, keys lie side by side in
// their leaf, and a lookup touches a handful of cache lines. Beside the pointer to a node stands its summary: the first and the last IOVA
// under it, and the sizes of the largest gaps between its ranges (see GapSizes), which guide the search for holes. All operations are O(log
// n); a change that leaves a node's summary as it was recomputes nothing above it.
//
// Always: ranges ascend and do not overlap, all leaves are equally deep, a summary says exactly what is under its node, and every
// node but the root has at least MinFill entries. Validate checks all of it.
//
// This file looks ranges up, .Changes.cs inserts and removes, .Holes.cs searches gaps, .Validate.cs checks.

/// <summary>One range of a tree.</summary>
internal readonly record struct RangeEntry<T>(IovaRange Range, T Value) : IEndsAt
{
    ulong IEndsAt.Last => Range.Last;
}

/// <summary>The key by which ascending items are searched.</summary>
internal interface IEndsAt
{
    /// <summary>The last IOVA of the item.</summary>
    ulong Last { get; }
}

/// <summary>Disjoint ranges of IOVAs in ascending order.</summary>
/// <typeparam name="T">What a range carries.</typeparam>
internal sealed partial class RangeTree<T>
    where T : class?
{
    private const int Capacity = 64;
    private const int MinFill = Capacity / 4;

    private Node? _root;
    private Summary _summary;

    /// <summary>Number of ranges.</summary>
    public int Count { get; private set; }

    /// <summary>All ranges, ascending. Ranges added or removed meanwhile may or may not be among them.</summary>
    public IEnumerable<RangeEntry<T>> Entries
    {
        get
        {
            for (var rest = IovaRange.All; TryFirst(rest, out var entry); rest = rest with { Start = entry.Range.Last + 1 })
            {
                yield return entry;
                if (entry.Range.Last == ulong.MaxValue)
                {
                    yield break;
                }
            }
        }
    }

    /// <summary>Whether any range overlaps this one.</summary>
    public bool Overlaps(IovaRange range) => TryFirst(range, out _);

    /// <summary>The lowest range that overlaps this one.</summary>
    public bool TryFirst(IovaRange within, out RangeEntry<T> entry)
    {
        for (var node = _root; node is not null && within.Start <= _summary.Last;)
        {
            if (node.Entries is { } entries)
            {
                entry = entries[IndexByLast(entries, node.Count, within.Start)];
                return entry.Range.Start <= within.Last;
            }

            node = node.Children![IndexByLast(node.Summaries!, node.Count, within.Start)];
        }

        entry = default;
        return false;
    }

    /// <summary>The lowest range that lies wholly above an IOVA.</summary>
    public bool TryAbove(ulong iova, out RangeEntry<T> entry)
    {
        while (iova != ulong.MaxValue && TryFirst(new IovaRange(iova + 1, ulong.MaxValue), out entry))
        {
            if (entry.Range.Start > iova)
            {
                return true;
            }

            iova = entry.Range.Last;
        }

        entry = default;
        return false;
    }

    /// <summary>The highest range that lies wholly below an IOVA.</summary>
    public bool TryBelow(ulong iova, out RangeEntry<T> entry)
    {
        entry = default;
        var node = _root;
        if (node is null || _summary.First >= iova)
        {
            return false;
        }

        // The range we want precedes the first one that does not end below: in the same leaf, or as the last of the subtree left of the
        // path.
        Node? left = null;
        while (node.Children is { } children)
        {
            var index = Math.Min(IndexByLast(node.Summaries!, node.Count, iova), node.Count - 1);
            left = index > 0 ? children[index - 1] : left;
            node = children[index];
        }

        var above = IndexByLast(node.Entries!, node.Count, iova);
        if (above == 0)
        {
            if (left is null)
            {
                return false;
            }

            for (node = left; node.Children is { } children;)
            {
                node = children[node.Count - 1];
            }

            above = node.Count;
        }

        entry = node.Entries![above - 1];
        return true;
    }

    // The index of the first item that does not end below an IOVA. The loop has no branch to mispredict.
    private static int IndexByLast<TItem>(TItem[] items, int count, ulong iova)
        where TItem : struct, IEndsAt
    {
        var low = 0;
        for (var rest = count; rest > 0;)
        {
            var half = (rest + 1) / 2;
            low += items[low + half - 1].Last < iova ? half : 0;
            rest -= half;
        }

        return low;
    }

    // What is known about a subtree without entering it.
    private struct Summary : IEndsAt, IEquatable<Summary>
    {
        public ulong First;
        public ulong Last;
        public GapSizes Gaps;

        readonly ulong IEndsAt.Last => Last;

        public readonly bool Equals(Summary other) => First == other.First && Last == other.Last && Gaps.Equals(other.Gaps);

        public override readonly bool Equals(object? obj) => obj is Summary other && Equals(other);

        public override readonly int GetHashCode() => HashCode.Combine(First, Last, Gaps);
    }

    // A leaf has Entries, an inner node has Children and beside each its summary; of both, the first Count are in use.
    private sealed class Node
    {
        public int Count;
        public RangeEntry<T>[]? Entries;
        public Summary[]? Summaries;
        public Node[]? Children;

        public static Node Leaf(int capacity) => new() { Entries = new RangeEntry<T>[capacity] };

        public static Node Inner() => new() { Summaries = new Summary[Capacity], Children = new Node[Capacity] };
    }
}
