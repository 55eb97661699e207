using IommuFd.Grains.IoPagetable;
using IommuFd.Uapi;

namespace IommuFd.UnitTests.IoPagetable;

/// <summary>A page table that mirrors the table, with the numbers of its pages that are dirty.</summary>
internal sealed record NaiveDomain(UInt128 Start, UInt128 End, ulong PageSize)
{
    public HashSet<UInt128> Dirty { get; } = [];
}

// What devices and accesses do to a table: domains, pins, and the pages that are dirty.

internal sealed partial class NaiveTable
{
    public List<NaiveDomain> Domains { get; } = [];

    public List<(UInt128 Start, UInt128 End)> Pins { get; } = [];

    public int PinningAccesses { get; private set; }

    public Errno AddDomain(NaiveDomain domain)
    {
        if (Domains.Exists(other => ReferenceEquals(other, domain)))
        {
            return Errno.EEXIST;
        }

        if (domain.PageSize > Page)
        {
            return Errno.EINVAL;
        }

        if (!AreAligned(domain.PageSize)
            || Areas.Any(area => area.Start < domain.Start || area.End > domain.End)
            || _allowed.Any(range => range.Start < domain.Start || range.End > domain.End))
        {
            return Errno.EADDRINUSE;
        }

        foreach (var area in Areas)
        {
            if (CheckPinnable(area.Pages, area.StartByte, area.End - area.Start) is var errno && errno != Errno.None)
            {
                return errno;
            }
        }

        Domains.Add(domain);
        if (domain.Start > 0)
        {
            _reserved.Add((0, domain.Start, domain));
        }

        if (domain.End < IovaEnd)
        {
            _reserved.Add((domain.End, IovaEnd, domain));
        }

        return Errno.None;
    }

    public void RemoveDomain(NaiveDomain domain)
    {
        Domains.RemoveAll(other => ReferenceEquals(other, domain));
        RemoveReserved(domain);
    }

    public Errno AddPinningAccess()
    {
        if (!AreAligned(Page))
        {
            return Errno.EADDRINUSE;
        }

        PinningAccesses++;
        return Errno.None;
    }

    public void RemovePinningAccess() => PinningAccesses--;

    public Errno Pin(ulong iova, ulong length, bool write, List<PagesSlice> slices)
    {
        var errno = Access(iova, length, write, pins: true, slices);
        if (errno == Errno.None)
        {
            Pins.Add((iova, (UInt128)iova + length));
        }
        else
        {
            slices.Clear();
        }

        return errno;
    }

    public Errno Resolve(ulong iova, ulong length, bool write, List<PagesSlice> slices) => Access(iova, length, write, pins: false, slices);

    public void MarkDirty(NaiveDomain domain, ulong iova)
    {
        if (Areas.Any(area => area.Start <= iova && iova < area.End))
        {
            domain.Dirty.Add(iova / domain.PageSize);
        }
    }

    public int PinsIn(NaiveArea area) => Pins.Count(pin => pin.Start < area.End && area.Start < pin.End);

    private static Errno CheckPinnable(IoptPages pages, UInt128 startByte, UInt128 length)
        => startByte + length <= (UInt128)pages.PinnablePages * Page ? Errno.None : pages.File is null ? Errno.EFAULT : Errno.EINVAL;

    private Errno Access(ulong iova, ulong length, bool write, bool pins, List<PagesSlice> slices)
    {
        UInt128 start = iova, end = start + length;
        var errno = length == 0 ? Errno.EINVAL : end > IovaEnd ? Errno.EOVERFLOW : Errno.None;
        while (errno == Errno.None && start < end)
        {
            var area = Areas.Find(area => area.Start <= start && start < area.End);
            if (area is null)
            {
                errno = Errno.ENOENT;
                break;
            }

            var next = UInt128.Min(end, area.End);
            var first = area.StartByte + (ulong)(start - area.Start);
            var behind = (UInt128)first + (next - start);
            if (pins && (first % Page != 0 || (next < end && behind % Page != 0)))
            {
                errno = Errno.EINVAL;
            }
            else if (!area.Prot.HasFlag(write ? IommuProt.Write : IommuProt.Read) || (write && !area.Pages.Writable))
            {
                errno = Errno.EPERM;
            }
            else if (pins || area.Pages.File is not null)
            {
                errno = CheckPinnable(area.Pages, first, next - start);
            }

            if (errno == Errno.None)
            {
                slices.Add(new PagesSlice(area.Pages, first, (ulong)(next - start)));
                start = next;
            }
        }

        return errno;
    }
}
