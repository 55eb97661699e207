using IommuFd.GrainInterfaces;
using IommuFd.Grains.IoPagetable.Trees;

namespace IommuFd.Grains.IoPagetable.Pins;

// Runs of pages with the same number of users, which is never 0. Neighbours with equal numbers are joined where a change ends, so there are never
// more runs than the users that are left have ends.

/// <summary>How many areas and accesses pin each of some pages.</summary>
internal sealed class PageUsers
{
    private readonly RangeTree<Users> _runs = new();

    /// <summary>Whether no page has a user.</summary>
    public bool IsEmpty => _runs.Count == 0;

    /// <summary>Gives the pages of a run one more user, or takes one.</summary>
    /// <param name="run">Numbers of pages.</param>
    /// <param name="change">1 or -1.</param>
    /// <returns>How many more pages have users; negative for fewer.</returns>
    public long Change(IovaRange run, int change)
    {
        Cut(run.Start);
        Cut(run.Last + 1);
        var more = 0L;
        for (var next = run.Start; ;)
        {
            var hasUsers = _runs.TryFirst(new IovaRange(next, run.Last), out var entry);
            var part = hasUsers && entry.Range.Start == next ? entry.Range : new IovaRange(next, hasUsers ? entry.Range.Start - 1 : run.Last);
            var users = hasUsers && entry.Range.Start == next ? entry.Value.Count : 0;
            if (users + change < 0)
            {
                throw new InvalidOperationException("Pages have fewer users than were told of.");
            }

            Set(part, users, users + change);
            more += users == 0 ? (long)part.LengthBytes : users + change == 0 ? -(long)part.LengthBytes : 0;
            if (part.Last == run.Last)
            {
                break;
            }

            next = part.Last + 1;
        }

        Join(run.Start);
        Join(run.Last + 1);
        return more;
    }

    // Page numbers end far below 2^64, so there is always a page after one.
    private void Cut(ulong page)
    {
        if (_runs.TryFirst(new IovaRange(page, page), out var entry) && entry.Range.Start < page)
        {
            _runs.Remove(entry.Range.Start);
            _runs.TryInsert(entry.Range with { Last = page - 1 }, entry.Value);
            _runs.TryInsert(entry.Range with { Start = page }, entry.Value);
        }
    }

    private void Join(ulong page)
    {
        if (page > 0 && _runs.TryFirst(new IovaRange(page, page), out var after) && after.Range.Start == page
            && _runs.TryFirst(new IovaRange(page - 1, page - 1), out var before) && before.Value == after.Value)
        {
            _runs.Remove(before.Range.Start);
            _runs.Remove(after.Range.Start);
            _runs.TryInsert(before.Range with { Last = after.Range.Last }, before.Value);
        }
    }

    private void Set(IovaRange part, int before, int users)
    {
        if (before > 0)
        {
            _runs.Remove(part.Start);
        }

        if (users > 0)
        {
            _runs.TryInsert(part, new Users(users));
        }
    }

    private sealed record Users(int Count);
}
