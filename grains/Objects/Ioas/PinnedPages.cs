using IommuFd.GrainInterfaces;
using IommuFd.Grains.IoPagetable;

namespace IommuFd.Grains.Objects.Ioas;

/// <summary>Finds what an IOAS has pinned of its caller's memory: all that is mapped while there is a domain, else what accesses have pinned.</summary>
internal static class PinnedPages
{
    /// <summary>Collects the pinned runs that have an address of a range.</summary>
    /// <returns>False where there are more than one reply carries.</returns>
    public static bool TryFind(IoptTable table, IEnumerable<PinnedRange> pins, IovaRange addresses, FileMapping? mapping, List<PinnedRun> runs)
    {
        var slices = table.Domains.Count > 0
            ? table.Areas.Select(area => area.Slice)
            : pins.SelectMany(pin => Slices(table, pin.Range));
        foreach (var slice in slices)
        {
            var pages = new IovaRange(PageSizes.RoundDown(slice.Address), (slice.Address + (slice.Length - 1)) | (PageSizes.Page - 1));
            if ((slice.Pages.File is null ? pages : AddressesOf(pages, slice.Pages.File, addresses, mapping)) is not { } run || !run.Overlaps(addresses))
            {
                continue;
            }

            if (runs.Count == IoctlLimits.MaxInspectionPage)
            {
                return false;
            }

            runs.Add(new PinnedRun(slice.Pages.Id, run));
        }

        return true;
    }

    // Where the caller has mapped bytes of a file; null where it has not.
    private static IovaRange? AddressesOf(IovaRange bytes, MappedFile file, IovaRange addresses, FileMapping? mapping)
    {
        if (mapping?.File != file || !IovaRange.TryOfLength(mapping.Offset, Math.Min(mapping.Length, addresses.LengthBytes), out var mapped) || !bytes.Overlaps(mapped))
        {
            return null;
        }

        var (first, last) = (Math.Max(bytes.Start, mapped.Start), Math.Min(bytes.Last, mapped.Last));
        return new IovaRange(addresses.Start + (first - mapped.Start), addresses.Start + (last - mapped.Start));
    }

    private static List<PagesSlice> Slices(IoptTable table, IovaRange pin)
    {
        var slices = new List<PagesSlice>();
        table.GetPages(pin.Start, pin.LengthBytes, slices);
        return slices;
    }
}
