using IommuFd.Uapi;

namespace IommuFd.Grains.IoPagetable;

// The domains that mirror this table, and the accesses to what it maps. A domain pins everything mapped: while a table has one, absent
// memory can't be mapped, and while absent memory is mapped, no domain can be added. What a domain has pinned stays pinned, whatever its
// program does with the memory. Domains and accesses also decide how IOVAs must be aligned.

internal sealed partial class IoptTable
{
    // Most tables have no domain and few have more than one; an empty array costs them nothing.
    private IommuDomain[] _domains = [];
    private int _pinningAccesses;
    private int _unpinnableAreas;
    private int _inaccessibleAreas;
    private int _areasToAskAbout;

    /// <summary>The domains, in the order they were added.</summary>
    public IReadOnlyList<IommuDomain> Domains => _domains;

    /// <summary>The sizes of pages that every domain can map, a bit each; all ones without a domain.</summary>
    public ulong DomainPageSizes => _domains.Aggregate(ulong.MaxValue, (sizes, domain) => sizes & domain.PageSizeBitmap);

    /// <summary>The index of a domain; negative if the table does not have it.</summary>
    public int IndexOf(IommuDomain domain) => Array.IndexOf(_domains, domain);

    /// <summary>Adds a domain that mirrors the table (<c>iopt_table_add_domain</c>); a failure changes nothing.</summary>
    /// <param name="domain">The domain.</param>
    /// <param name="look">Looks at the memory that it pins.</param>
    public Errno AddDomain(IommuDomain domain, PinLook? look = null)
    {
        if (_domains.Contains(domain))
        {
            return Errno.EEXIST;
        }

        // Memory is pinned in the machine's pages, so the IOMMU's must not be larger.
        if (domain.PageSize > PageSizes.Page)
        {
            return Errno.EINVAL;
        }

        if (domain.PageSize > IovaAlignment && !AreAreasAligned(domain.PageSize))
        {
            return Errno.EADDRINUSE;
        }

        var errno = ReserveOutside(domain);
        look ??= new PinLook(default);
        errno = errno == Errno.None ? CheckPinnableAreas(look) : errno;
        errno = errno == Errno.None && _domains.Length == 0 ? look.Charge(_pins.PriceOfAll(Areas)) : errno;
        if (errno != Errno.None)
        {
            RemoveReserved(domain);
            return errno;
        }

        _domains = [.. _domains, domain];
        _pins.PinAll(true, Areas);
        IovaAlignment = Math.Max(IovaAlignment, domain.PageSize);
        CheckInvariants();
        return Errno.None;
    }

    /// <summary>Removes a domain (<c>iopt_table_remove_domain</c>).</summary>
    public void RemoveDomain(IommuDomain domain)
    {
        Require(_domains.Contains(domain), "A domain is removed once.");
        _domains = Array.FindAll(_domains, other => other != domain);
        _pins.PinAll(_domains.Length > 0, Areas);
        RemoveReserved(domain);
        RelaxAlignment();
    }

    /// <summary>Adds an access (<c>iopt_add_access</c>); EADDRINUSE if it pins pages and an area is not aligned to them.</summary>
    public Errno AddAccess(bool needsPinPages)
    {
        if (!needsPinPages)
        {
            return Errno.None;
        }

        _pinningAccesses++;
        var errno = CalculateIovaAlignment();
        if (errno != Errno.None)
        {
            _pinningAccesses--;
        }

        return errno;
    }

    /// <summary>Removes an access that has no pins (<c>iopt_remove_access</c>).</summary>
    public void RemoveAccess(bool needsPinPages)
    {
        _pinningAccesses -= needsPinPages ? 1 : 0;
        RelaxAlignment();
    }

    /// <summary>The first area that is not aligned, if any.</summary>
    public IoptArea? FirstMisaligned(ulong alignment) => AreAreasAligned(alignment) ? null : Areas.First(area => area.Alignment < alignment);

    private void RelaxAlignment()
    {
        var errno = CalculateIovaAlignment();
        Require(errno == Errno.None, "Alignment can always be relaxed.");
    }

    private Errno ReserveOutside(IommuDomain domain)
    {
        foreach (var outside in domain.Outside)
        {
            if (Reserve(outside, domain) is var errno && errno != Errno.None)
            {
                return errno;
            }
        }

        return Errno.None;
    }

    // What another domain of the table has pinned need not be looked at again.
    private Errno CheckPinnableAreas(PinLook look)
    {
        if (_domains.Length > 0 || _unpinnableAreas + _areasToAskAbout + _inaccessibleAreas == 0)
        {
            return Errno.None;
        }

        foreach (var area in Areas)
        {
            if (look.Check(area.Slice, area.Range) is var errno && errno != Errno.None)
            {
                return look.Conclude(errno);
            }

            if (!area.Prot.CanBeAccessed())
            {
                return look.Conclude(Errno.EINVAL);
            }
        }

        return look.Conclude(Errno.None);
    }

    /// <summary>The first area that a domain can't map because DMA may neither read nor write it, if any.</summary>
    public IoptArea? FirstInaccessible() => _inaccessibleAreas == 0 ? null : Areas.First(area => !area.Prot.CanBeAccessed());

    private void CountUnpinnable(IoptArea area, int change)
    {
        _inaccessibleAreas += area.Prot.CanBeAccessed() ? 0 : change;
        if (area.Pages.Source is not null)
        {
            _areasToAskAbout += change;
        }
        else if (!area.Slice.IsPinnable())
        {
            _unpinnableAreas += change;
        }
    }
}
