using IommuFd.Grains.IoPagetable;
using IommuFd.Uapi;

namespace IommuFd.UnitTests.IoPagetable;

// The IO page table once more, as plainly as it can be said: lists, linear walks, and 128-bit arithmetic that can't wrap. It is the
// yardstick for the real one, so it shares none of its code but the records that go in and come out.

internal sealed record NaiveArea(UInt128 Start, UInt128 End, IoptPages Pages, ulong StartByte, IommuProt Prot);

internal sealed partial class NaiveTable
{
    public const ulong Page = 4096;
    public static readonly UInt128 IovaEnd = (UInt128)1 << 64;

    private readonly List<(UInt128 Start, UInt128 End, object? Owner)> _reserved = [];
    private List<(UInt128 Start, UInt128 End)> _allowed = [];
    private bool _largePagesDisabled;

    public List<NaiveArea> Areas { get; } = [];

    public ulong Alignment => Math.Max(_largePagesDisabled || PinningAccesses > 0 ? Page : 1, Domains.Select(domain => domain.PageSize).DefaultIfEmpty(1UL).Max());

    public bool MapsOtherThanFiles => Areas.Any(area => !area.Pages.IsFile);

    /// <summary>Takes the pages of a table that has the same areas, but was made again, and so has other objects for them.</summary>
    public void Adopt(IoptTable real)
    {
        var pages = real.Areas.Select(area => area.Pages).DistinctBy(pages => pages.Id).ToDictionary(pages => pages.Id);
        for (var i = 0; i < Areas.Count; i++)
        {
            Areas[i] = Areas[i] with { Pages = pages[Areas[i].Pages.Id] };
        }
    }

    public Errno Map(IReadOnlyList<PagesSlice> slices, IommuProt prot, ulong? fixedIova, out ulong iova)
    {
        iova = 0;
        var length = slices.Aggregate(UInt128.Zero, (sum, slice) => sum + slice.Length);
        if (length % Alignment != 0)
        {
            return Errno.EINVAL;
        }

        var errno = fixedIova is { } wanted ? CheckFixed(wanted, length) : Allocate(slices[0].Pages.Start + slices[0].StartByte, length, out iova);
        iova = fixedIova ?? iova;
        foreach (var slice in slices)
        {
            if (errno == Errno.None && prot.HasFlag(IommuProt.Write) && !slice.Pages.Writable)
            {
                errno = Errno.EPERM;
            }
            else if (errno == Errno.None && slice.StartByte % Page % Alignment != 0)
            {
                errno = Errno.EINVAL;
            }
            else if (errno == Errno.None && (UInt128)slice.StartByte + slice.Length > (UInt128)slice.Pages.PageCount * Page)
            {
                errno = Errno.EOVERFLOW;
            }
        }

        foreach (var slice in errno == Errno.None && Domains.Count > 0 ? slices : [])
        {
            errno = errno == Errno.None ? CheckPinnable(slice.Pages, slice.StartByte, slice.Length) : errno;
        }

        UInt128 start = iova;
        foreach (var slice in errno == Errno.None ? slices : [])
        {
            Areas.Add(new NaiveArea(start, start + slice.Length, slice.Pages, slice.StartByte, prot));
            start += slice.Length;
        }

        Areas.Sort((left, right) => left.Start.CompareTo(right.Start));
        return errno;
    }

    public Errno GetPages(ulong iova, ulong length, List<PagesSlice> slices)
    {
        if (length == 0)
        {
            return Errno.EINVAL;
        }

        UInt128 start = iova, end = start + length;
        if (end > IovaEnd)
        {
            return Errno.EOVERFLOW;
        }

        foreach (var area in Areas.Where(area => area.End > iova && area.Start < end))
        {
            if (area.Start > start)
            {
                break;
            }

            var last = UInt128.Min(area.End, end);
            slices.Add(new PagesSlice(area.Pages, area.StartByte + (ulong)(start - area.Start), (ulong)(last - start)));
            start = last;
        }

        if (start < end)
        {
            slices.Clear();
        }

        return start < end ? Errno.ENOENT : Errno.None;
    }

    public Errno Unmap(UInt128 start, UInt128 length, out ulong unmapped)
    {
        unmapped = 0;
        var end = start + length;
        if (length == 0 || end > IovaEnd)
        {
            return length == 0 ? Errno.EINVAL : Errno.EOVERFLOW;
        }

        foreach (var area in Areas.Where(area => area.End > start && area.Start < end).ToList())
        {
            if (area.Start < start || area.End > end)
            {
                return Errno.ENOENT;
            }

            Areas.Remove(area);
            Pins.RemoveAll(pin => pin.Start < area.End && area.Start < pin.End);
            Domains.ForEach(domain => domain.Dirty.RemoveWhere(page => page * domain.PageSize < area.End && (page + 1) * domain.PageSize > area.Start));
            unmapped += (ulong)(area.End - area.Start);
        }

        return Errno.None;
    }

    public Errno SetAllowed(IEnumerable<IommuIovaRange> ranges)
    {
        var allowed = ranges.Select(range => (Start: (UInt128)range.Start, End: (UInt128)range.Last + 1)).OrderBy(range => range.Start).ToList();
        if (allowed.Any(range => range.End < range.Start + 2) || allowed.Zip(allowed.Skip(1)).Any(pair => pair.First.End > pair.Second.Start))
        {
            return Errno.EINVAL;
        }

        if (allowed.Any(range => _reserved.Any(reserved => reserved.Start < range.End && range.Start < reserved.End)))
        {
            return Errno.EADDRINUSE;
        }

        _allowed = allowed;
        return Errno.None;
    }

    public Errno Reserve(UInt128 start, UInt128 end, object? owner)
    {
        if (Areas.Any(area => area.Start < end && start < area.End) || _allowed.Any(range => range.Start < end && start < range.End))
        {
            return Errno.EADDRINUSE;
        }

        _reserved.Add((start, end, owner));
        return Errno.None;
    }

    public void RemoveReserved(object owner) => _reserved.RemoveAll(reserved => reserved.Owner == owner);

    public Errno SetLargePages(bool enabled)
    {
        if (!enabled && !_largePagesDisabled && Domains.Count > 0 && Areas.Count > 0)
        {
            return Errno.EINVAL;
        }

        if (!enabled && !AreAligned(Page))
        {
            return Errno.EADDRINUSE;
        }

        _largePagesDisabled = !enabled;
        return Errno.None;
    }

    public Errno Cut(ulong iova)
    {
        var area = Areas.Find(area => area.Start <= iova && iova < area.End);
        if (area is null || area.Start == iova || area.End - 1 == iova)
        {
            return Errno.None;
        }

        if (PinsIn(area) > 0 || (Domains.Count > 0 && !_largePagesDisabled))
        {
            return Errno.EINVAL;
        }

        var kept = iova + 1 - (ulong)area.Start;
        if ((iova + 1) % Alignment != 0 || (area.StartByte + kept) % Alignment != 0)
        {
            return Errno.EINVAL;
        }

        Areas[Areas.IndexOf(area)] = area with { End = (UInt128)iova + 1 };
        Areas.Add(area with { Start = (UInt128)iova + 1, StartByte = area.StartByte + kept });
        Areas.Sort((left, right) => left.Start.CompareTo(right.Start));
        return Errno.None;
    }

    /// <summary>The IOVAs that are not reserved.</summary>
    public List<(UInt128 Start, UInt128 End)> UnreservedHoles() => Complement(_reserved.Select(range => (range.Start, range.End)), 0, IovaEnd);

    public ulong LargestHole() => Stretches().SelectMany(stretch => FreeHoles(stretch.Start, stretch.End))
        .Select(hole => (ulong)(hole.End - hole.Start)).Where(size => size > 1).DefaultIfEmpty(0UL).Max();

    // Areas need not be looked at where the alignment doesn't rise: pieces of a copy may lie worse than it says.
    private bool AreAligned(ulong alignment)
        => alignment <= Alignment
            || Areas.TrueForAll(area => area.Start % alignment == 0 && area.End % alignment == 0 && area.StartByte % Page % alignment == 0);

    private Errno CheckFixed(UInt128 iova, UInt128 length)
    {
        if (iova % Alignment != 0)
        {
            return Errno.EINVAL;
        }

        if (iova + length > IovaEnd)
        {
            return Errno.EOVERFLOW;
        }

        if (_reserved.Any(reserved => reserved.Start < iova + length && iova < reserved.End))
        {
            return Errno.EINVAL;
        }

        return Areas.Any(area => area.Start < iova + length && iova < area.End) ? Errno.EEXIST : Errno.None;
    }

    private Errno Allocate(ulong address, UInt128 length, out ulong iova)
    {
        iova = 0;
        if (length >= ulong.MaxValue / 2)
        {
            return Errno.EOVERFLOW;
        }

        ulong alignment = 1;
        while (alignment < length && alignment < PageSizes.Huge && address % (alignment * 2) == 0)
        {
            alignment *= 2;
        }

        if (alignment < Alignment)
        {
            return Errno.EINVAL;
        }

        UInt128? Try(UInt128 start, UInt128 end)
        {
            var aligned = ((start + alignment - 1) / alignment * alignment) | (address % Page);
            return aligned + UInt128.Max(length, 2) <= end ? aligned : null;
        }

        foreach (var stretch in Stretches())
        {
            var start = Try(stretch.Start, stretch.End);
            var holes = start is null ? [] : FreeHoles(start.Value, stretch.End);
            var found = holes.Select(hole => Try(hole.Start, hole.End)).FirstOrDefault(found => found is not null);
            if (found is not null)
            {
                iova = (ulong)found;
                return Errno.None;
            }
        }

        return Errno.ENOSPC;
    }

    // The stretches of allowed IOVAs; the first and the last page are not for choosing.
    private List<(UInt128 Start, UInt128 End)> Stretches()
    {
        UInt128 start = Page, end = IovaEnd - Page;
        return _allowed.Count == 0
            ? [(start, end)]
            : [.. Complement(Complement(_allowed, 0, IovaEnd), 0, IovaEnd)
                .Where(range => range.End > start && range.Start < end)
                .Select(range => (UInt128.Max(range.Start, start), UInt128.Min(range.End, end)))];
    }

    private List<(UInt128 Start, UInt128 End)> FreeHoles(UInt128 start, UInt128 end)
        => Complement(_reserved.Select(range => (range.Start, range.End)).Concat(Areas.Select(area => (area.Start, area.End))), start, end);

    private static List<(UInt128 Start, UInt128 End)> Complement(IEnumerable<(UInt128 Start, UInt128 End)> ranges, UInt128 start, UInt128 end)
    {
        var holes = new List<(UInt128 Start, UInt128 End)>();
        foreach (var range in ranges.OrderBy(range => range.Start).Append((Start: end, End: end)))
        {
            if (UInt128.Min(range.Start, end) > start)
            {
                holes.Add((start, UInt128.Min(range.Start, end)));
            }

            start = UInt128.Max(start, range.End);
        }

        return holes;
    }
}
