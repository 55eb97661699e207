using IommuFd.Grains.Objects.Ioas;
using IommuFd.Uapi;

namespace IommuFd.Grains.IoPagetable;

// Page tables that mirror this one, and accesses to what it maps. While there is a domain, everything mapped is pinned, so that
// memory that isn't there can't be mapped, and a domain can't be added where it is. Both also tell how IOVAs must be aligned.

internal sealed partial class IoptTable
{
    // Most tables have no domain, and few more than one: an array costs those nothing.
    private IommuDomain[] _domains = [];
    private int _pinningAccesses;
    private int _unpinnableAreas;

    /// <summary>The domains, in the order in which they came.</summary>
    public IReadOnlyList<IommuDomain> Domains => _domains;

    /// <summary>The place of a domain among them; less than 0 for one that the table does not have.</summary>
    public int IndexOf(IommuDomain domain) => Array.IndexOf(_domains, domain);

    /// <summary>Lets a domain mirror the table (<c>iopt_table_add_domain</c>): on failure it does not.</summary>
    public Errno AddDomain(IommuDomain domain)
    {
        if (_domains.Contains(domain))
        {
            return Errno.EEXIST;
        }

        // What is pinned in pages of the machine must fit pages of the IOMMU.
        if (domain.PageSize > PageSizes.Page)
        {
            return Errno.EINVAL;
        }

        if (domain.PageSize > IovaAlignment && !AreAreasAligned(domain.PageSize))
        {
            return Errno.EADDRINUSE;
        }

        var errno = ReserveOutside(domain);
        errno = errno == Errno.None ? CheckPinnableAreas() : errno;
        if (errno != Errno.None)
        {
            RemoveReserved(domain);
            return errno;
        }

        _domains = [.. _domains, domain];
        IovaAlignment = Math.Max(IovaAlignment, domain.PageSize);
        CheckInvariants();
        return Errno.None;
    }

    /// <summary>Takes a domain out (<c>iopt_table_remove_domain</c>).</summary>
    public void RemoveDomain(IommuDomain domain)
    {
        Require(_domains.Contains(domain), "A domain is taken out once.");
        _domains = Array.FindAll(_domains, other => other != domain);
        RemoveReserved(domain);
        RelaxAlignment();
    }

    /// <summary>Adds an access (<c>iopt_add_access</c>); EADDRINUSE where it pins pages and an area is not aligned to them.</summary>
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

    /// <summary>Takes an access out that has no pin (<c>iopt_remove_access</c>).</summary>
    public void RemoveAccess(bool needsPinPages)
    {
        _pinningAccesses -= needsPinPages ? 1 : 0;
        RelaxAlignment();
    }

    /// <summary>The first area that can't be pinned, if any.</summary>
    public IoptArea? FirstUnpinnable() => _unpinnableAreas == 0 ? null : Areas.First(area => !area.Slice.IsPinnable());

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

    private Errno CheckPinnableAreas() => FirstUnpinnable() is { } area ? UnpinnableErrno(area.Pages) : Errno.None;

    // Pinning memory that isn't there faults; what is no memfd, or behind its end, can't be pinned at all.
    private static Errno UnpinnableErrno(IoptPages pages) => pages.File is null ? Errno.EFAULT : Errno.EINVAL;
}
