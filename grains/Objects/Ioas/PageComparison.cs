using IommuFd.GrainInterfaces;
using IommuFd.Grains.IoPagetable;
using IommuFd.Uapi;

namespace IommuFd.Grains.Objects.Ioas;

// Linux's selftest compares pages by their physical addresses. Here a page of a program's memory is known by its address in that program, and a
// page of a file by the file and the offset. The caller's side says where memory is a mapping of a file, when it maps it and when it expects it.

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

                if (SameBytes(slice.Pages, PageSizes.RoundDown(slice.StartByte) + (page * PageSizes.Page), known, PageSizes.RoundDown(address)) == 0)
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
            if (table.FirstArea(new IovaRange(at, at)) is not { } area || SameBytes(area.Pages, area.StartByteOf(at), expected, address) is not (> 0 and var same))
            {
                return Errno.EINVAL;
            }

            var more = Math.Min(Math.Min(area.Range.Last - at, LastReadable(expected) - address), same - 1);
            done += (((UInt128)more + pageSize) / pageSize) * pageSize;
        }

        return Errno.None;
    }

    // How many bytes of pages, from one on, are known to be the program's memory from an address on; 0 where it is other memory. Memory is known by its
    // address in its program, and where it is a mapping of a file also by the file and the offset: two mappings of a file have the same pages.
    private static ulong SameBytes(IoptPages pages, ulong startByte, ExpectedMemory memory, ulong address)
    {
        var place = pages.Start + startByte;
        if (pages.File is null && place == address && memory.IsOf(pages.Source))
        {
            return ulong.MaxValue;
        }

        var mapped = pages.File is { } file ? new FileMapping(file, pages.Start, ulong.MaxValue) : pages.Mapping;
        if (mapped is null || memory.Mapping is not { } mapping || mapping.File != mapped.File || startByte >= mapped.Length)
        {
            return 0;
        }

        // An address before the first is in the first page, which is mapped as a whole.
        var offset = address - memory.Address;
        var isMapped = offset < mapping.Length || memory.Address - address < PageSizes.Page;
        return isMapped && mapping.Offset + offset == mapped.Offset + startByte ? Math.Min(mapped.Length - startByte, mapping.Length - offset) : 0;
    }

    // Memory is there by whole pages: the page of the last readable byte is.
    private static bool IsReadable(ExpectedMemory memory, ulong address)
        => memory.ReadableBytes > 0
            && address >= PageSizes.RoundDown(memory.Address)
            && address <= LastReadable(memory);

    private static ulong LastReadable(ExpectedMemory memory) => (memory.Address + (memory.ReadableBytes - 1)) | (PageSizes.Page - 1);
}
