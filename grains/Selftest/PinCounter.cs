using IommuFd.GrainInterfaces;
using IommuFd.Grains.IoPagetable;
using IommuFd.Grains.Objects.Ioas;

namespace IommuFd.Grains.Selftest;

/// <summary>Counts how often pages are pinned: once for each set of pages that has a pinned run over them.</summary>
internal static class PinCounter
{
    /// <summary>The first page of a range that is not pinned as often as expected, with how often it is; null where all are.</summary>
    public static (ulong Page, long Count)? FirstOther(IEnumerable<PinnedRun> runs, IovaRange addresses, uint expected)
    {
        // Runs of the same pages are joined first, so that each counts once; then a sweep over their ends finds each stretch of equal counts.
        var steps = new SortedDictionary<UInt128, long> { [addresses.Start] = 0 };
        foreach (var run in runs.Where(run => run.Range.Overlaps(addresses)).GroupBy(run => run.Pages).SelectMany(same => Join(same.Select(run => run.Range))))
        {
            var start = Math.Max(run.Start, addresses.Start);
            var end = (UInt128)Math.Min(run.Last, addresses.Last) + 1;
            steps[start] = steps.GetValueOrDefault(start) + 1;
            steps[end] = steps.GetValueOrDefault(end) - 1;
        }

        var count = 0L;
        foreach (var (at, change) in steps.TakeWhile(step => step.Key <= addresses.Last))
        {
            count += change;
            if (count != expected)
            {
                return (PageSizes.RoundDown((ulong)at), count);
            }
        }

        return null;
    }

    private static List<IovaRange> Join(IEnumerable<IovaRange> ranges)
    {
        var joined = new List<IovaRange>();
        foreach (var range in ranges.OrderBy(range => range.Start))
        {
            if (joined.Count > 0 && range.Start <= joined[^1].Last)
            {
                joined[^1] = joined[^1] with { Last = Math.Max(joined[^1].Last, range.Last) };
            }
            else
            {
                joined.Add(range);
            }
        }

        return joined;
    }
}
