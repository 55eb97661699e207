using IommuFd.GrainInterfaces;
using IommuFd.Grains.IoPagetable;

namespace IommuFd.Grains.Objects.Ioas;

/// <summary>Finds what an IOAS has pinned of its caller's memory: all that is mapped while there is a domain, else what accesses have pinned.</summary>
internal static class PinnedPages
{
    /// <summary>Collects the pinned runs that have an address of a range.</summary>
    /// <returns>False where there are more than one reply carries.</returns>
    public static bool TryFind(IoptTable table, IEnumerable<PinnedRange> pins, IovaRange addresses, ExpectedMemory memory, List<PinnedRun> runs)
    {
        foreach (var slice in table.PinnedSlices(pins))
        {
            if (AddressesOf(slice, addresses, memory) is not { } run)
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

    // Where the caller has the pages of a slice among some addresses; null where it does not.
    private static IovaRange? AddressesOf(PagesSlice slice, IovaRange addresses, ExpectedMemory memory)
    {
        var pages = new IovaRange(PageSizes.RoundDown(slice.Address), (slice.Address + (slice.Length - 1)) | (PageSizes.Page - 1));
        if (slice.Pages.File is { } file)
        {
            return AddressesOf(pages, file, addresses, memory.Mapping);
        }

        return memory.IsOf(slice.Pages.Source) && pages.Overlaps(addresses) ? pages
            : slice.Pages.Mapping is { } mapped && pages.Start - slice.Pages.Start is var start && start < mapped.Length
                && IovaRange.TryOfLength(mapped.Offset + start, Math.Min(mapped.Length - start, pages.LengthBytes), out var bytes)
                ? AddressesOf(bytes, mapped.File, addresses, memory.Mapping)
            : null;
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
}
