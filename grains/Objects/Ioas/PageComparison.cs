using IommuFd.GrainInterfaces;
using IommuFd.Grains.IoPagetable;
using IommuFd.Uapi;

namespace IommuFd.Grains.Objects.Ioas;

// Linux's selftest compares pages by their physical addresses. Here a page of the caller's memory is known by its address, and a page
// of a file by the file and the offset. The caller's side says where the memory that it expects is a mapping of a file.

/// <summary>Compares what IOVAs map with the memory that should be there.</summary>
internal static class PageComparison
{
    /// <summary>Page by page, as <c>IOMMU_TEST_OP_ACCESS_PAGES</c> does: EFAULT where memory isn't there, EBADE where it is other memory.</summary>
    /// <param name="slices">What the IOVAs map, from the first page on.</param>
    /// <param name="first">An address in the first page that should be there.</param>
    /// <param name="known">The memory that is known to be readable.</param>
    /// <param name="right">Bytes of the pages before the first that is wrong.</param>
    public static Errno Compare(List<PagesSlice> slices, ExpectedMemory first, ExpectedMemory known, out ulong right)
    {
        var address = first.Address;
        right = 0;
        foreach (var slice in slices)
        {
            var pages = ((slice.StartByte + slice.Length - 1) / PageSizes.Page) - (slice.StartByte / PageSizes.Page) + 1;
            for (ulong page = 0; page < pages; page++, address += PageSizes.Page, right += PageSizes.Page)
            {
                if (!IsReadable(known, address))
                {
                    return Errno.EFAULT;
                }

                if (PlaceOf(known, slice.Pages.File, address) is not { } place || PageSizes.RoundDown(place) != PageSizes.RoundDown(slice.Address) + (page * PageSizes.Page))
                {
                    return Errno.EBADE;
                }
            }
        }

        return Errno.None;
    }

    /// <summary>Page by page of the IOMMU, as <c>IOMMU_TEST_OP_MD_CHECK_MAP</c> does: EFAULT where memory isn't there, EINVAL where it is other memory.</summary>
    /// <param name="table">What maps it.</param>
    /// <param name="iova">The first IOVA.</param>
    /// <param name="length">Bytes.</param>
    /// <param name="pageSize">Bytes of the IOMMU's page.</param>
    /// <param name="expected">The memory that should be there.</param>
    /// <param name="right">Bytes before the first page that is wrong.</param>
    public static Errno CheckMapped(IoptTable table, ulong iova, ulong length, ulong pageSize, ExpectedMemory expected, out ulong right)
    {
        right = 0;

        // Pages of one area are right together, so that they are looked at together: a program may say that it has far more memory than anyone can
        // look at page by page.
        for (UInt128 done = 0; done < length;)
        {
            right = (ulong)done;
            var address = expected.Address + (ulong)done;
            if (!IsReadable(expected, address))
            {
                return Errno.EFAULT;
            }

            var at = iova + (ulong)done;
            if (table.FirstArea(new IovaRange(at, at)) is not { } area || PlaceOf(expected, area.Pages.File, address) != area.Pages.Start + area.StartByteOf(at))
            {
                return Errno.EINVAL;
            }

            var more = Math.Min(area.Range.Last - at, LastReadable(expected) - address);
            if (area.Pages.File is not null)
            {
                more = Math.Min(more, expected.Address + (expected.Mapping!.Length - 1) - address);
            }

            done += (((UInt128)more + pageSize) / pageSize) * pageSize;
        }

        return Errno.None;
    }

    // What a set of pages calls an address: the address itself, or the offset in the file that is mapped there. Null where that file is not mapped there.
    private static ulong? PlaceOf(ExpectedMemory memory, MappedFile? file, ulong address)
    {
        if (file is null)
        {
            return address;
        }

        // An address before the first is in the first page, which is mapped as a whole.
        var offset = address - memory.Address;
        return memory.Mapping is { } mapping && mapping.File == file && (offset < mapping.Length || memory.Address - address < PageSizes.Page) ? mapping.Offset + offset : null;
    }

    // Memory is there by whole pages: the page of the last readable byte is.
    private static bool IsReadable(ExpectedMemory memory, ulong address)
        => memory.ReadableBytes > 0
            && address >= PageSizes.RoundDown(memory.Address)
            && address <= LastReadable(memory);

    private static ulong LastReadable(ExpectedMemory memory) => (memory.Address + (memory.ReadableBytes - 1)) | (PageSizes.Page - 1);
}
