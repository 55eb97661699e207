using IommuFd.GrainInterfaces;
using IommuFd.Grains.IoPagetable;

namespace IommuFd.Grains.Objects.Ioas;

/// <summary>Finds what an IOAS has pinned of its caller's memory: all that is mapped while there is a domain, else what accesses have pinned.</summary>
internal static class PinnedPages
{
    /// <summary>Collects the pinned runs that have an address of a range.</summary>
    /// <returns>False where there are more than one reply carries.</returns>
    public static bool TryFind(IoptTable table, IEnumerable<PinnedRange> pins, IovaRange addresses, List<PinnedRun> runs)
    {
        var slices = table.Domains.Count > 0
            ? table.Areas.Select(area => area.Slice)
            : pins.SelectMany(pin => Slices(table, pin.Range));
        foreach (var slice in slices.Where(slice => slice.Pages.File is null))
        {
            var run = new IovaRange(PageSizes.RoundDown(slice.Address), (slice.Address + (slice.Length - 1)) | (PageSizes.Page - 1));
            if (!run.Overlaps(addresses))
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

    private static List<PagesSlice> Slices(IoptTable table, IovaRange pin)
    {
        var slices = new List<PagesSlice>();
        table.GetPages(pin.Start, pin.LengthBytes, slices);
        return slices;
    }
}
