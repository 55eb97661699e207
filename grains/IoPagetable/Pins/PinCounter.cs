using IommuFd.GrainInterfaces;

namespace IommuFd.Grains.IoPagetable.Pins;

// Linux counts a page as pinned once for each struct iopt_pages that has it, however many areas and accesses pin it. Most pages are behind one area and
// never pinned by an access: a number by owner says how many of those there are, and mapping costs an addition. Pages that were copied, split or
// pinned by an access are shared: who uses them may be in several IOASes, so what happens to them is told to the context, which has the users of all of them (PinLedger).
//
// Always: pages that are not shared have one area, and it is here.

/// <summary>Counts what one table has pinned.</summary>
internal sealed class PinCounter
{
    // Nearly always one: most contexts map the memory of one program.
    private readonly List<OwnedPages> _mapped = [];
    private Dictionary<PagesId, int>? _shared;
    private List<PinChange>? _changes;
    private bool _pinsAll;
    private bool _hasNews;
    private bool _hasLimits;

    /// <summary>Counts an area that is mapped from now on.</summary>
    public void Map(IoptArea area) => Count(area, 1);

    /// <summary>Counts an area no more.</summary>
    public void Unmap(IoptArea area) => Count(area, -1);

    /// <summary>Whether pages may be used by more than one area, or by accesses.</summary>
    public bool IsShared(IoptPages pages) => _shared?.ContainsKey(pages.Id) == true;

    /// <summary>Pages that come from elsewhere are about to be mapped.</summary>
    public void ShareNew(IoptPages pages)
    {
        if (!pages.IsDmaBuf)
        {
            (_shared ??= []).TryAdd(pages.Id, 0);
        }
    }

    /// <summary>The pages of an area that is mapped may be used by others from now on.</summary>
    public void Share(IoptArea area)
    {
        if (IsShared(area.Pages))
        {
            return;
        }

        Count(area, -1);
        ShareNew(area.Pages);
        Count(area, 1);
    }

    /// <summary>An area's pages are another program's from now on. Of shared pages the context knows that: all that it has pinned moves together.</summary>
    public void Move(IoptArea from, IoptArea to)
    {
        if (!IsShared(from.Pages))
        {
            Count(from, -1);
            Count(to, 1);
        }
    }

    /// <summary>An access pins a slice of shared pages, or no longer does.</summary>
    public void Pin(PagesSlice slice, int change) => Tell(slice, change);

    /// <summary>Whether everything that is mapped is pinned: whether there is a domain.</summary>
    /// <param name="all">Whether it is from now on.</param>
    /// <param name="areas">All areas.</param>
    public void PinAll(bool all, IEnumerable<IoptArea> areas)
    {
        if (_pinsAll == all)
        {
            return;
        }

        _pinsAll = all;
        _hasNews |= _mapped.Count > 0;
        foreach (var area in _shared is null ? [] : areas.Where(area => IsShared(area.Pages)))
        {
            Tell(area.Slice, all ? 1 : -1);
        }
    }

    /// <summary>What pinning everything that is mapped would pin of memory that has a limit; null for nothing.</summary>
    public PinTally? PriceOfAll(IEnumerable<IoptArea> areas) => !_hasLimits ? null : PriceOf(
        [.. _mapped.Where(owned => owned.Pages > 0 && owned.Owner.Account != PinAccount.None).Select(owned => owned.Count)],
        _shared is null ? [] : areas.Where(area => IsShared(area.Pages)).Select(area => area.Slice));

    /// <summary>What pinning slices would pin of memory that has a limit; null for nothing.</summary>
    public static PinTally? PriceOf(IEnumerable<PagesSlice> slices) => PriceOf([], slices);

    /// <summary>What is pinned now, if that has changed since it was asked last; null if not.</summary>
    public PinTally? Take()
    {
        if (!_hasNews)
        {
            return null;
        }

        var changes = _changes?.ToArray();
        (_hasNews, _changes) = (false, null);
        return new PinTally(_pinsAll ? [.. _mapped.Where(owned => owned.Pages > 0).Select(owned => owned.Count)] : [], changes);
    }

    private static PinTally? PriceOf(PinCount[] own, IEnumerable<PagesSlice> slices)
    {
        PinChange[] changes = [.. slices.Where(slice => slice.Pages.Account != PinAccount.None).Select(slice => PinChange.Of(slice, 1))];
        return own.Length + changes.Length == 0 ? null : new PinTally(own, changes);
    }

    // A dma-buf has no pages that are pinned.
    private void Count(IoptArea area, int change)
    {
        if (area.Pages.IsDmaBuf)
        {
            return;
        }

        _hasLimits |= area.Pages.Account != PinAccount.None;
        if (_shared is not null && _shared.TryGetValue(area.Pages.Id, out var areas))
        {
            _shared[area.Pages.Id] = areas + change;
            if (_pinsAll)
            {
                Tell(area.Slice, change);
            }

            if (areas + change == 0)
            {
                _shared.Remove(area.Pages.Id);
            }

            return;
        }

        OwnedBy(area.Pages).Pages += change * (long)area.Slice.Run.LengthBytes;
        _hasNews |= _pinsAll;
    }

    private OwnedPages OwnedBy(IoptPages pages)
    {
        foreach (var owned in _mapped)
        {
            if (owned.Owner.Account == pages.Account && (ReferenceEquals(owned.Owner.Source, pages.Source) || owned.Owner.Source == pages.Source))
            {
                return owned;
            }
        }

        var added = new OwnedPages(PinOwner.Of(pages));
        _mapped.Add(added);
        return added;
    }

    private void Tell(PagesSlice slice, int change)
    {
        (_changes ??= []).Add(PinChange.Of(slice, change));
        _hasNews = true;
    }

    private sealed class OwnedPages(PinOwner owner)
    {
        public PinOwner Owner => owner;

        public PinCount Count => new(owner, Pages);

        public long Pages { get; set; }
    }
}
