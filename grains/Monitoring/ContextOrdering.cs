using IommuFd.GrainInterfaces;

namespace IommuFd.Grains.Monitoring;

// Each silo sorts its contexts and the monitor merges the silos' answers, both by the same keys, so that a page is the same as if all
// contexts were on one silo.

/// <summary>The key by which contexts are sorted.</summary>
/// <param name="Number">Compared first; equal if contexts are sorted by text.</param>
/// <param name="Text">Compared next.</param>
/// <param name="Tag">Compared last, so that no two contexts are equal.</param>
internal readonly record struct ContextRank(long Number, string Text, ulong Tag)
{
    /// <summary>The key of a context's summary on a page.</summary>
    public static ContextRank Of(ContextSummary context, ContextOrder order) => order switch
    {
        ContextOrder.Opener => new(0, context.Opener, context.Tag.Value),
        ContextOrder.Silo => new(0, context.Silo, context.Tag.Value),
        ContextOrder.Objects => new(context.Objects, "", context.Tag.Value),
        ContextOrder.Ioctls => new(context.Ioctls, "", context.Tag.Value),
        ContextOrder.Mode => new((long)context.Mode, "", context.Tag.Value),
        ContextOrder.Lease => new(context.Lease?.Ticks ?? long.MaxValue, "", context.Tag.Value),
        _ => new(context.Opened.Ticks, "", context.Tag.Value),
    };

    /// <summary>The key of a context of this silo, which sorts like its summary's key.</summary>
    /// <param name="context">The context.</param>
    /// <param name="order">What it is sorted by.</param>
    /// <param name="expired">The time stamp of signs of life whose leases expire now; all expired leases are equal.</param>
    public static ContextRank Of(MonitoredContext context, ContextOrder order, long expired) => order switch
    {
        ContextOrder.Opener => new(0, context.Opener, context.Tag.Value),
        ContextOrder.Silo => new(0, "", context.Tag.Value),
        ContextOrder.Objects => new(context.Model.Objects.Count, "", context.Tag.Value),
        ContextOrder.Ioctls => new(context.Ioctls, "", context.Tag.Value),
        ContextOrder.Mode => new((long)context.Model.Mode, "", context.Tag.Value),
        ContextOrder.Lease => new(Math.Max(context.LastSign, expired), "", context.Tag.Value),
        _ => new(context.Model.OpenedTicks, "", context.Tag.Value),
    };

    /// <summary>Compares keys. Ties are ordered by tag, always ascending.</summary>
    public static Comparer<ContextRank> By(bool descending) => Comparer<ContextRank>.Create((left, right) =>
    {
        var byNumber = left.Number.CompareTo(right.Number);
        var byKey = byNumber != 0 ? byNumber : string.CompareOrdinal(left.Text, right.Text);
        return byKey == 0 ? left.Tag.CompareTo(right.Tag) : descending ? -byKey : byKey;
    });
}

/// <summary>Finds a silo's part of a page of contexts.</summary>
internal static class ContextSelection
{
    /// <summary>
    /// The first <see cref="ContextQuery.Offset"/> plus <see cref="ContextQuery.Limit"/> matching contexts, in order, and how many match.
    /// </summary>
    /// <remarks>Only those are kept and summarized: the others cost one key each.</remarks>
    public static SiloContextPage Select(ContextDirectory directory, ContextQuery query, string silo, TimeSpan lease, TimeProvider time)
    {
        var (offset, limit) = Bounds(query);
        var order = ContextRank.By(query.Descending);
        var first = new PriorityQueue<MonitoredContext, ContextRank>(Comparer<ContextRank>.Create((left, right) => order.Compare(right, left)));
        var (most, total) = (offset + limit, 0L);
        var expired = lease == TimeSpan.Zero ? long.MaxValue : time.GetTimestamp() - (long)(lease.TotalSeconds * time.TimestampFrequency);
        var all = query.Search.Length == 0 || silo.Contains(query.Search, StringComparison.OrdinalIgnoreCase);
        foreach (var context in directory.All)
        {
            if (!all && !context.Has(query.Search))
            {
                continue;
            }

            total++;
            var key = ContextRank.Of(context, query.Order, expired);
            if (first.Count < most)
            {
                first.Enqueue(context, key);
            }
            else
            {
                first.EnqueueDequeue(context, key);
            }
        }

        var page = new ContextSummary[first.Count];
        for (var i = page.Length - 1; i >= 0; i--)
        {
            page[i] = first.Dequeue().Summarize(silo, lease);
        }

        return new SiloContextPage(total, page);
    }

    /// <summary>Merges the silos' answers into one page.</summary>
    public static ContextPage Merge(ContextQuery query, IReadOnlyCollection<SiloContextPage> parts, string[] silent)
    {
        var (offset, limit) = Bounds(query);
        var contexts = parts.SelectMany(part => part.Contexts).OrderBy(context => ContextRank.Of(context, query.Order), ContextRank.By(query.Descending));
        return new ContextPage(parts.Sum(part => part.Total), [.. contexts.Skip(offset).Take(limit)], silent);
    }

    private static (int Offset, int Limit) Bounds(ContextQuery query)
        => (Math.Clamp(query.Offset, 0, ContextQuery.MaxOffset), Math.Clamp(query.Limit, 1, ContextQuery.MaxLimit));
}
