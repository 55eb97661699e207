using IommuFd.GrainInterfaces;

namespace IommuFd.Grains.IoPagetable.Pins;

/// <summary>What all IOASes of a context have pinned: each page once. It follows from what they tell, and is not saved.</summary>
internal sealed class PinLedger
{
    private readonly Dictionary<PinOwner, long> _pages = [];
    private readonly Dictionary<PagesId, PageUsers> _shared = [];

    /// <summary>Pinned pages.</summary>
    public long Total { get; private set; }

    /// <summary>Whether pages that count against a limit were pinned or unpinned since this was last set to false.</summary>
    public bool HasNews { get; set; }

    /// <summary>Owners of pinned pages, and how many.</summary>
    public IEnumerable<PinCount> Owners => _pages.Select(pages => new PinCount(pages.Key, pages.Value));

    /// <summary>Pinned pages of an owner.</summary>
    public long PagesOf(PinOwner owner) => _pages.GetValueOrDefault(owner);

    /// <summary>Takes what an IOAS tells.</summary>
    /// <param name="before">What it told before of pages of its own.</param>
    /// <param name="tally">What it tells now.</param>
    public void Take(PinCount[] before, PinTally tally)
    {
        Forget(before);
        Array.ForEach(tally.Own, count => Add(count.Owner, count.Pages));
        foreach (var change in tally.Changes ?? [])
        {
            Add(change.Owner, Change(change));
        }
    }

    /// <summary>Forgets the pages of an IOAS that is gone: no other pages are pinned there.</summary>
    public void Forget(PinCount[] told) => Array.ForEach(told, count => Add(count.Owner, -count.Pages));

    /// <summary>Nothing is pinned any more.</summary>
    public void Clear()
    {
        HasNews |= _pages.Keys.Any(owner => owner.Account != PinAccount.None);
        _pages.Clear();
        _shared.Clear();
        Total = 0;
    }

    /// <summary>How many pages more would be pinned, by owner.</summary>
    public IEnumerable<PinCount> PriceOf(PinTally more)
    {
        var prices = more.Own.ToDictionary(count => count.Owner, count => count.Pages);
        foreach (var change in more.Changes ?? [])
        {
            prices[change.Owner] = prices.GetValueOrDefault(change.Owner) + Change(change);
        }

        foreach (var change in more.Changes ?? [])
        {
            Change(change with { Users = -change.Users });
        }

        return prices.Where(price => price.Value > 0).Select(price => new PinCount(price.Key, price.Value));
    }

    /// <summary>What another program would have to lock, if all that is pinned were its own.</summary>
    public IEnumerable<PinCount> PriceOfMove(MemorySource? source)
        => _pages.Where(pages => pages.Key.Source != source && pages.Key.Account != PinAccount.None).GroupBy(pages => pages.Key.Account, pages => pages.Value)
            .Select(pages => new PinCount(new PinOwner(source, pages.Key), pages.Sum()));

    /// <summary>All that is pinned is another program's from now on.</summary>
    public void Move(MemorySource? source)
    {
        foreach (var (owner, pages) in _pages.Where(pages => pages.Key.Source != source).ToList())
        {
            Add(owner, -pages);
            Add(owner with { Source = source }, pages);
        }
    }

    private long Change(PinChange change)
    {
        if (!_shared.TryGetValue(change.Pages, out var users))
        {
            _shared.Add(change.Pages, users = new PageUsers());
        }

        var more = users.Change(change.Run, change.Users);
        if (users.IsEmpty)
        {
            _shared.Remove(change.Pages);
        }

        return more;
    }

    private void Add(PinOwner owner, long pages)
    {
        if (pages == 0)
        {
            return;
        }

        Total += pages;
        HasNews |= owner.Account != PinAccount.None;
        if (PagesOf(owner) + pages is var now && now == 0)
        {
            _pages.Remove(owner);
        }
        else
        {
            _pages[owner] = now;
        }
    }
}
