using IommuFd.GrainInterfaces;

namespace IommuFd.Grains.IoPagetable.Trees;

// Searching the gaps between ranges, and keeping the summaries that the search descends by. A search walks gaps in ascending order and
// enters a subtree only where its summary says that some gap in it may fit; a gap that crosses an end of the searched range counts as far
// as it lies inside.

internal sealed partial class RangeTree<T>
{
    /// <summary>Finds the first gap within a range that fits a request.</summary>
    /// <param name="within">Where to search; gaps are clipped to it.</param>
    /// <param name="request">What must fit.</param>
    /// <param name="hole">The gap.</param>
    /// <param name="iova">Where in it the request fits.</param>
    public bool TryFindHole(IovaRange within, in HoleRequest request, out IovaRange hole, out ulong iova)
    {
        var search = new Search { Cursor = within.Start, Last = within.Last };
        if (_root is not null && within.Start <= _summary.Last)
        {
            Walk(_root, ref search, request);
        }

        if (!search.Finished)
        {
            search.TryGap(search.Last, request);
        }

        hole = search.Hole;
        iova = search.Iova;
        return search.Found;
    }

    /// <summary>The largest gap within a range, in bytes. The range must not be all IOVAs.</summary>
    public ulong LargestGap(IovaRange within)
    {
        var search = new Search { Cursor = within.Start, Last = within.Last };
        var largest = 0UL;
        if (_root is not null && within.Start <= _summary.Last)
        {
            Measure(_root, ref search, ref largest);
        }

        return search.Finished ? largest : Math.Max(largest, search.Last - search.Cursor + 1);
    }

    private static void Walk(Node node, ref Search search, in HoleRequest request)
    {
        if (node.Entries is { } entries)
        {
            for (var i = IndexByLast(entries, node.Count, search.Cursor); i < node.Count && !search.Finished; i++)
            {
                var range = entries[i].Range;
                search.Pass(range.Start, request);
                search.Skip(range.Last);
            }

            return;
        }

        var summaries = node.Summaries!;
        for (var i = IndexByLast(summaries, node.Count, search.Cursor); i < node.Count && !search.Finished; i++)
        {
            ref var child = ref summaries[i];
            search.Pass(child.First, request);
            if (!search.Finished && request.MayFit(child.Gaps))
            {
                // The gap before the child has been tried.
                search.Cursor = Math.Max(search.Cursor, child.First);
                Walk(node.Children![i], ref search, request);
            }

            search.Skip(child.Last);
        }
    }

    private static void Measure(Node node, ref Search search, ref ulong largest)
    {
        var isLeaf = node.Entries is not null;
        var i = isLeaf ? IndexByLast(node.Entries!, node.Count, search.Cursor) : IndexByLast(node.Summaries!, node.Count, search.Cursor);
        for (; i < node.Count && !search.Finished; i++)
        {
            var range = isLeaf ? node.Entries![i].Range : new IovaRange(node.Summaries![i].First, node.Summaries[i].Last);
            if (range.Start > search.Cursor)
            {
                largest = Math.Max(largest, Math.Min(range.Start - 1, search.Last) - search.Cursor + 1);
            }

            if (!isLeaf && node.Summaries![i].Gaps[GapSizes.PlainLane] > largest)
            {
                if (range.Start >= search.Cursor && range.Last <= search.Last)
                {
                    largest = node.Summaries[i].Gaps[GapSizes.PlainLane];
                }
                else if (range.Start <= search.Last)
                {
                    search.Cursor = Math.Max(search.Cursor, range.Start);
                    Measure(node.Children![i], ref search, ref largest);
                }
            }

            search.Skip(range.Last);
        }
    }

    private static GapSizes GapBetween(in RangeEntry<T> low, in RangeEntry<T> high) => GapSizes.Between(low.Range.Last, high.Range.Start);

    private static Summary Summarize(Node node)
    {
        Summary summary = default;
        if (node.Entries is { } entries)
        {
            for (var i = 1; i < node.Count; i++)
            {
                summary.Gaps = GapSizes.Max(summary.Gaps, GapBetween(entries[i - 1], entries[i]));
            }

            summary.First = entries[0].Range.Start;
            summary.Last = entries[node.Count - 1].Range.Last;
            return summary;
        }

        var summaries = node.Summaries!;
        summary = summaries[0];
        for (var i = 1; i < node.Count; i++)
        {
            var between = GapSizes.Between(summaries[i - 1].Last, summaries[i].First);
            summary.Gaps = GapSizes.Max(GapSizes.Max(summary.Gaps, between), summaries[i].Gaps);
        }

        summary.Last = summaries[node.Count - 1].Last;
        return summary;
    }

    // Updates a node's largest gaps after some gaps replaced others; recomputes them only if it must.
    private static void Replace(Node node, in GapSizes lost, in GapSizes gained, ref GapSizes gaps)
    {
        if (!gaps.TryReplace(lost, gained, out gaps))
        {
            gaps = Summarize(node).Gaps;
        }
    }

    // Updates a node's summary after a child's summary changed. The gaps to the child's neighbours count as the child's here.
    private static void Refresh(Node node, int index, in Summary before, ref Summary summary)
    {
        var summaries = node.Summaries!;
        ref var child = ref summaries[index];
        GapSizes lost = before.Gaps, gained = child.Gaps;
        if (child.First != before.First && index > 0)
        {
            lost = GapSizes.Max(lost, GapSizes.Between(summaries[index - 1].Last, before.First));
            gained = GapSizes.Max(gained, GapSizes.Between(summaries[index - 1].Last, child.First));
        }

        if (child.Last != before.Last && index < node.Count - 1)
        {
            lost = GapSizes.Max(lost, GapSizes.Between(before.Last, summaries[index + 1].First));
            gained = GapSizes.Max(gained, GapSizes.Between(child.Last, summaries[index + 1].First));
        }

        summary.First = summaries[0].First;
        summary.Last = summaries[node.Count - 1].Last;
        Replace(node, lost, gained, ref summary.Gaps);
    }

    // A walk over gaps: everything below Cursor has been visited, nothing above Last counts.
    private struct Search
    {
        public ulong Cursor;
        public ulong Last;
        public bool Finished;
        public bool Found;
        public IovaRange Hole;
        public ulong Iova;

        // Arrives at a range or subtree that starts here: tries the gap before it.
        public void Pass(ulong start, in HoleRequest request)
        {
            if (start > Cursor)
            {
                TryGap(Math.Min(start - 1, Last), request);
                Finished |= start > Last;
            }
        }

        // Leaves a range or subtree that ends here.
        public void Skip(ulong last)
        {
            Finished |= last >= Last;
            Cursor = last + 1;
        }

        public void TryGap(ulong last, in HoleRequest request)
        {
            if (request.Fits(new IovaRange(Cursor, last), out Iova))
            {
                Found = Finished = true;
                Hole = new IovaRange(Cursor, last);
            }
        }
    }
}
