using IommuFd.GrainInterfaces;
using IommuFd.Grains.IoPagetable;
using IommuFd.Grains.Objects.Ioas;
using IommuFd.Uapi;
using static IommuFd.UnitTests.IoPagetable.IoasFixture;

namespace IommuFd.UnitTests.IoPagetable;

public sealed class MapTests
{
    private readonly IoasModel _ioas = new();

    [Fact]
    public void Checks_before_the_lookup_go_flags_then_overflow_then_protection()
    {
        Assert.Equal(Errno.EOPNOTSUPP, IoasChecks.Map((IommuIoasMapFlags)8, 0, ulong.MaxValue, 0));
        Assert.Equal(Errno.EOPNOTSUPP, IoasChecks.Map(Fixed, 1, ulong.MaxValue, 0));
        Assert.Equal(Errno.EOVERFLOW, IoasChecks.Map(IommuIoasMapFlags.FixedIova, 0, ulong.MaxValue, 0));
        Assert.Equal(Errno.EOVERFLOW, IoasChecks.Map(IommuIoasMapFlags.None, 0, 0, ulong.MaxValue));
        Assert.Equal(Errno.EINVAL, IoasChecks.Map(IommuIoasMapFlags.FixedIova, 0, ulong.MaxValue - 1, 0));
        Ok(IoasChecks.Map(IommuIoasMapFlags.Readable, 0, ulong.MaxValue - 1, ulong.MaxValue - 1));
        Assert.Equal(Errno.EOVERFLOW, IoasChecks.MapFile(IommuIoasMapFlags.None, ulong.MaxValue, 0));
        Assert.Equal(Errno.EOVERFLOW, IoasChecks.Copy(ReadWrite, 0, 0, ulong.MaxValue));
        Assert.Equal(Errno.EOVERFLOW, IoasChecks.Copy(ReadWrite, 0, ulong.MaxValue, 0));
        Assert.Equal(Errno.EOVERFLOW, IoasChecks.Copy(ReadWrite, ulong.MaxValue, 0, 0));
    }

    [Fact]
    public void Fixed_iova_is_mapped_there()
    {
        Ok(_ioas.MapAt(0x1234, length: 3));
        var area = Assert.Single(_ioas.Table.Areas);
        Assert.Equal(new IovaRange(0x1234, 0x1236), area.Range);
        Assert.Equal(IommuProt.Read | IommuProt.Write | IommuProt.Cache, area.Prot);
        Assert.Equal(Memory, area.Pages.Start);
    }

    [Theory]
    [InlineData(0x1000, 0x1000)]
    [InlineData(0x1FFF, 1)]
    [InlineData(0, 0x1001)]
    [InlineData(0x500, 0x10000)]
    public void Fixed_iova_over_an_area_is_EEXIST(ulong iova, ulong length)
    {
        Ok(_ioas.MapAt(0x1000));
        Assert.Equal(Errno.EEXIST, _ioas.MapAt(iova, length));
        Assert.Equal("1000-1fff", _ioas.Areas());
    }

    [Fact]
    public void Fixed_iova_over_a_reserved_range_is_EINVAL_even_where_an_area_is_too()
    {
        Ok(_ioas.Reserve(0x3000, 0x3FFF));
        Ok(_ioas.MapAt(0x2000));
        Assert.Equal(Errno.EINVAL, _ioas.MapAt(0x3FFF));
        Assert.Equal(Errno.EINVAL, _ioas.MapAt(0x2000, 0x1001));
    }

    [Fact]
    public void Fixed_iova_need_not_be_allowed()
    {
        Ok(_ioas.Allow((0x10000, 0x1FFFF)));
        Ok(_ioas.MapAt(0x1000));
    }

    [Fact]
    public void Length_0_is_EINVAL() => Assert.Equal(Errno.EINVAL, _ioas.MapAt(0x1000, length: 0));

    [Fact]
    public void The_last_iova_can_be_mapped_and_nothing_behind_it()
    {
        Ok(_ioas.MapAt(ulong.MaxValue - 0xFFF, 0x1000));
        Assert.Equal(Errno.EOVERFLOW, _ioas.MapAt(ulong.MaxValue - 0xFFF, 0x1001));
        Assert.Equal("fffffffffffff000-ffffffffffffffff", _ioas.Areas());
    }

    [Fact]
    public void Memory_that_reaches_2_to_64_is_EOVERFLOW_before_its_iova_is_looked_at()
    {
        Ok(_ioas.MapAt(0x1000));
        Assert.Equal(Errno.EOVERFLOW, _ioas.MapAt(0x1000, 0x1000, address: ulong.MaxValue - 0xFFF));
        Assert.Equal(Errno.EEXIST, _ioas.MapAt(0x1000, 0xFFF, address: ulong.MaxValue - 0xFFF));
    }

    [Fact]
    public void Lengths_within_a_page_of_2_to_64_are_EINVAL()
        => Assert.Equal(Errno.EINVAL, _ioas.MapAt(0, ulong.MaxValue - 0xFFF, address: 0));

    [Fact]
    public void Pages_whose_number_does_not_fit_are_EOVERFLOW()
    {
        Assert.Equal(Errno.EOVERFLOW, _ioas.MapAt(0, ulong.MaxValue - 0x1000, address: 2));
        Ok(_ioas.MapAt(0, ulong.MaxValue - 0x1000, address: 1));
    }

    [Fact]
    public void Memory_that_is_not_there_is_mapped_since_nothing_pins_it()
    {
        ulong iova = 0x1000;
        Ok(_ioas.Map(Fixed, Memory + 0x10, 3 * Page, readableBytes: 0, writableBytes: 0, ref iova));
        Assert.Equal((4UL, 0UL), Pages());

        iova = 0x10000;
        Ok(_ioas.Map(Fixed & ~IommuIoasMapFlags.Writeable, Memory + 0x10, 3 * Page, readableBytes: (2 * Page) - 0x10, writableBytes: 0, ref iova));
        Assert.Equal((4UL, 2UL), Pages());

        iova = 0x20000;
        Ok(_ioas.Map(Fixed, Memory + 0x10, 3 * Page, readableBytes: 0, writableBytes: 3 * Page, ref iova));
        Assert.Equal((4UL, 4UL), Pages());

        (ulong Count, ulong Pinnable) Pages()
        {
            var pages = _ioas.Table.FirstArea(new IovaRange(iova, iova))!.Pages;
            return (pages.PageCount, pages.PinnablePages);
        }
    }

    [Fact]
    public void Files_are_checked_for_length_then_overflow_then_descriptor()
    {
        ulong iova = 0x1000;
        Assert.Equal(Errno.EINVAL, _ioas.MapFile(Fixed, file: null, 0, length: 0, 0, ref iova));
        Assert.Equal(Errno.EOVERFLOW, _ioas.MapFile(Fixed, file: null, ulong.MaxValue, length: 2, 0, ref iova));
        Assert.Equal(Errno.EBADF, _ioas.MapFile(Fixed, file: null, ulong.MaxValue, length: 1, 0, ref iova));
        Assert.Equal(Errno.EINVAL, _ioas.MapFile(Fixed, new MappedFile("file 1"), 0, ulong.MaxValue - 0xFFF, 0, ref iova));
        Assert.Empty(_ioas.Table.Areas);
    }

    [Fact]
    public void Files_that_are_no_memfd_or_too_short_are_mapped_since_nothing_pins_them()
    {
        ulong iova = 0x1000;
        Ok(_ioas.MapFile(Fixed, new MappedFile("file 1"), 0x1800, 0x1000, pinnableBytes: 0, ref iova));
        var area = Assert.Single(_ioas.Table.Areas);
        Assert.Equal((0x1000UL, 0x800UL, 2UL), (area.Pages.Start, area.StartByte, area.Pages.PageCount));
        Assert.Equal(new MappedFile("file 1"), area.Pages.File);
    }

    [Fact]
    public void Only_user_memory_stands_in_the_way_of_changing_the_process()
    {
        ulong iova = 0x1000;
        Ok(_ioas.MapFile(Fixed, new MappedFile("file 1"), 0, Page, 0, ref iova));
        Ok(_ioas.CheckChangeProcess());
        Ok(_ioas.MapAt(0x2000));
        Assert.Equal(Errno.EINVAL, _ioas.CheckChangeProcess());
        Ok(_ioas.UnmapAt(0x2000, Page, out _));
        Ok(_ioas.CheckChangeProcess());
    }
}
