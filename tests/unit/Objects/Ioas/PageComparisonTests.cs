using IommuFd.GrainInterfaces;
using IommuFd.Grains.IoPagetable;
using IommuFd.Grains.Objects.Ioas;
using IommuFd.Uapi;
using IommuFd.UnitTests.IoPagetable;
using IommuFd.UnitTests.Support;
using static IommuFd.UnitTests.IoPagetable.IoasFixture;

namespace IommuFd.UnitTests.Objects.Ioas;

public sealed class PageComparisonTests
{
    private static readonly ExpectedMemory Known = new(Memory, 4 * Page);

    private readonly IoasModel _ioas = new();

    [Theory]
    [InlineData(Memory, Errno.None)]
    [InlineData(Memory + 0x800, Errno.None)]
    [InlineData(Memory + Page, Errno.EBADE)]
    [InlineData(Memory - 1, Errno.EFAULT)]
    [InlineData(Memory + (4 * Page), Errno.EFAULT)]
    public void Pages_are_compared_by_the_address_of_the_first(ulong first, Errno errno)
    {
        Ok(_ioas.MapAt(0x10000, 2 * Page));
        Expect.Equal(errno, Compare(0x10000, 2 * Page, first, Known), $"comparing with 0x{first:X}");
    }

    [Fact]
    public void Areas_are_compared_one_behind_the_other()
    {
        Ok(_ioas.MapAt(0x10000, 2 * Page));
        Ok(_ioas.MapAt(0x12000, 2 * Page, Memory + (2 * Page)));
        Expect.Equal(Errno.None, Compare(0x10000, 4 * Page, Memory, Known), "two areas of one piece of memory");
        Expect.Equal(Errno.None, Compare(0x11000, 2 * Page, Memory + Page, Known), "the end of one and the start of the other");
        Ok(_ioas.UnmapAt(0x12000, 2 * Page, out _));
        Ok(_ioas.MapAt(0x12000, 2 * Page, Memory + (3 * Page)));
        Expect.Equal(Errno.EBADE, Compare(0x10000, 3 * Page, Memory, Known), "two areas of memory with a gap");
        Expect.Equal(Errno.None, Compare(0x10000, 2 * Page, Memory, Known), "the first of them");
    }

    [Fact]
    public void A_page_that_is_not_there_is_EFAULT_unless_one_before_it_is_another()
    {
        Ok(_ioas.MapAt(0x10000, 2 * Page));
        Expect.Equal(Errno.EFAULT, Compare(0x10000, 2 * Page, Memory, new ExpectedMemory(Memory, Page)), "memory whose second page isn't there");
        Expect.Equal(Errno.None, Compare(0x10000, 2 * Page, Memory, new ExpectedMemory(Memory, Page + 1)), "memory whose second page has a byte");
        Expect.Equal(Errno.EFAULT, Compare(0x10000, Page, Memory, new ExpectedMemory(Memory, 0)), "memory that isn't there");
        Expect.Equal(Errno.EBADE, Compare(0x11000, Page, Memory, new ExpectedMemory(Memory, Page)), "other memory");
    }

    [Fact]
    public void A_page_of_a_file_is_no_page_of_the_caller_s_memory()
    {
        ulong iova = 0x10000;
        Ok(_ioas.MapFile(Fixed, new MappedFile("file 1"), Memory, Page, Page, ref iova));
        Expect.Equal(Errno.EBADE, Compare(0x10000, Page, Memory, Known), "comparing");
        Expect.Equal(Errno.EINVAL, PageComparison.CheckMapped(_ioas.Table, 0x10000, Page, Page, Known, out _), "checking");
    }

    [Fact]
    public void A_part_of_a_page_counts_as_the_page()
    {
        Ok(_ioas.MapAt(0x10000, 2 * Page));
        Expect.Equal(Errno.None, Compare(0x10000, 1, Memory, new ExpectedMemory(Memory, 1)), "one byte");
        Expect.Equal(Errno.EFAULT, Compare(0x10000, Page + 1, Memory, new ExpectedMemory(Memory, Page)), "a page and a byte");
    }

    [Theory]
    [InlineData(0x10000, 0x1800, Memory, 0x4000, Errno.None)]
    [InlineData(0x10800, 0x800, Memory + 0x800, 0x800, Errno.None)]
    [InlineData(0x10000, 0x800, Memory + 0x800, 0x4000, Errno.EINVAL)]
    [InlineData(0x10000, 0x2800, Memory, 0x4000, Errno.EINVAL)]
    [InlineData(0x10000, 0x2800, Memory, 0x2000, Errno.EFAULT)]
    [InlineData(0x20000, 0x800, Memory, 0x4000, Errno.EINVAL)]
    [InlineData(0x20000, 0x800, Memory, 0, Errno.EFAULT)]
    public void What_is_mapped_is_checked_by_pages_of_the_IOMMU(ulong iova, ulong length, ulong address, ulong readable, Errno errno)
    {
        Ok(_ioas.MapAt(0x10000, 2 * Page));
        Expect.Equal(errno, PageComparison.CheckMapped(_ioas.Table, iova, length, 2048, new ExpectedMemory(address, readable), out _), $"checking at 0x{iova:X}");
    }

    [Fact]
    public void A_length_far_beyond_what_is_mapped_ends_at_the_first_wrong_page()
    {
        Ok(_ioas.MapAt(0x10000, 2 * Page));
        var expected = new ExpectedMemory(Memory, 1UL << 46);
        Expect.Equal(Errno.EINVAL, PageComparison.CheckMapped(_ioas.Table, 0x10000, 1UL << 46, 2048, expected, out _), "checking 2^46 bytes");
    }

    [Fact]
    public void A_length_that_is_mapped_but_too_long_to_look_at_page_by_page_is_checked_at_once()
    {
        const ulong Length = 1UL << 46;
        Ok(_ioas.MapAt(0x10000, Length));
        Expect.Equal(Errno.None, PageComparison.CheckMapped(_ioas.Table, 0x10000, Length, 2048, new ExpectedMemory(Memory, Length), out _), "checking it");
        Expect.Equal(
            Errno.EFAULT, PageComparison.CheckMapped(_ioas.Table, 0x10000, Length, 2048, new ExpectedMemory(Memory, Length - Page), out _), "its last page is not there");
        Expect.Equal(
            Errno.EINVAL, PageComparison.CheckMapped(_ioas.Table, 0x10000, Length + 2048, 2048, new ExpectedMemory(Memory, Length + Page), out _), "nothing behind it");
    }

    [Fact]
    public void An_area_that_ends_within_a_page_of_the_IOMMU_leaves_that_page_to_its_start()
    {
        Ok(_ioas.MapAt(0x10000, 0x1400));
        Ok(_ioas.MapAt(0x11400, 0x1C00, Memory + (2 * Page)));
        Expect.Equal(Errno.None, PageComparison.CheckMapped(_ioas.Table, 0x10000, 0x1800, 2048, Known, out _), "three pages, the last of them in part");
        Expect.Equal(Errno.EINVAL, PageComparison.CheckMapped(_ioas.Table, 0x10000, 0x2000, 2048, Known, out _), "and the one behind");
    }

    private Errno Compare(ulong iova, ulong length, ulong first, ExpectedMemory known)
    {
        List<PagesSlice> slices = [];
        Ok(_ioas.GetPages(iova, length, slices));
        return PageComparison.Compare(slices, new ExpectedMemory(first, known.ReadableBytes), known, out _);
    }
}
