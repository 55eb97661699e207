using IommuFd.GrainInterfaces;

namespace IommuFd.Grains.Monitoring;

// A silo sorts its contexts, and the monitor merges what silos answer: both by the same keys, so that a page has what it would have if all contexts were on one silo.

/// <summary>What a context is sorted by.</summary>
/// <param name="Number">Comes first; equal where contexts are sorted by a text.</param>
/// <param name="Text">Comes next.</param>
/// <param name="Tag">Tells contexts apart that are equal otherwise.</param>
internal readonly record struct ContextKey(long Number, string Text, ulong Tag)
{
    /// <summary>The key of a context, as a page has it.</summary>
    public static ContextKey Of(ContextSummary context, ContextOrder order) => order switch
    {
        ContextOrder.Opener => new(0, context.Opener, context.Tag.Value),
        ContextOrder.Silo => new(0, context.Silo, context.Tag.Value),
        ContextOrder.Objects => new(context.Objects, "", context.Tag.Value),
        ContextOrder.Ioctls => new(context.Ioctls, "", context.Tag.Value),
        ContextOrder.Mode => new((long)context.Mode, "", context.Tag.Value),
        ContextOrder.Lease => new(context.Lease?.Ticks ?? long.MaxValue, "", context.Tag.Value),
        _ => new(context.Opened.Ticks, "", context.Tag.Value),
    };

    /// <summary>The key of a context of this silo; as far as it goes, that of its summary.</summary>
    public static ContextKey Of(MonitoredContext context, ContextOrder order) => order switch
    {
        ContextOrder.Opener => new(0, context.Opener, context.Tag.Value),
        ContextOrder.Silo => new(0, "", context.Tag.Value),
        ContextOrder.Objects => new(context.Model.Objects.Count, "", context.Tag.Value),
        ContextOrder.Ioctls => new(context.Ioctls, "", context.Tag.Value),
        ContextOrder.Mode => new((long)context.Model.Mode, "", context.Tag.Value),
        ContextOrder.Lease => new(context.LastSign, "", context.Tag.Value),
        _ => new(context.Model.OpenedTicks, "", context.Tag.Value),
    };

    /// <summary>Compares keys; those that are equal otherwise come by their tags, whichever way the others come.</summary>
    public static Comparer<ContextKey> By(bool descending) => Comparer<ContextKey>.Create((left, right) =>
    {
        var byNumber = left.Number.CompareTo(right.Number);
        var byKey = byNumber != 0 ? byNumber : string.CompareOrdinal(left.Text, right.Text);
        return byKey == 0 ? left.Tag.CompareTo(right.Tag) : descending ? -byKey : byKey;
    });
}

/// <summary>Finds a silo's part of a page of contexts.</summary>
internal static class ContextSelection
{
    /// <summary>The first <see cref="ContextQuery.Offset"/> and <see cref="ContextQuery.Limit"/> contexts that fit, in order, and how many fit.</summary>
    /// <remarks>No more are kept at a time, and only those are shown: the others cost a key each.</remarks>
    public static SiloContextPage Select(ContextDirectory directory, ContextQuery query, string silo, TimeSpan lease)
    {
        var (offset, limit) = Bounds(query);
        var order = ContextKey.By(query.Descending);
        var first = new PriorityQueue<MonitoredContext, ContextKey>(Comparer<ContextKey>.Create((left, right) => order.Compare(right, left)));
        var (most, total) = (offset + limit, 0L);
        var all = query.Search.Length == 0 || silo.Contains(query.Search, StringComparison.OrdinalIgnoreCase);
        foreach (var context in directory.All)
        {
            if (!all && !context.Has(query.Search))
            {
                continue;
            }

            total++;
            var key = ContextKey.Of(context, query.Order);
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

    /// <summary>Makes one page of what silos have answered.</summary>
    public static ContextPage Merge(ContextQuery query, IReadOnlyCollection<SiloContextPage> parts, string[] silent)
    {
        var (offset, limit) = Bounds(query);
        var contexts = parts.SelectMany(part => part.Contexts).OrderBy(context => ContextKey.Of(context, query.Order), ContextKey.By(query.Descending));
        return new ContextPage(parts.Sum(part => part.Total), [.. contexts.Skip(offset).Take(limit)], silent);
    }

    private static (int Offset, int Limit) Bounds(ContextQuery query)
        => (Math.Clamp(query.Offset, 0, ContextQuery.MaxOffset), Math.Clamp(query.Limit, 1, ContextQuery.MaxLimit));
}
