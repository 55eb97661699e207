using IommuFd.Grains.Objects.Ioas;
using IommuFd.Uapi;
using static IommuFd.UnitTests.IoPagetable.IoasFixture;

namespace IommuFd.UnitTests.IoPagetable;

// IOMMU_OPTION_HUGE_PAGES: without large pages everything is aligned to pages.

public sealed class LargePagesTests
{
    private readonly IoasModel _ioas = new();

    [Fact]
    public void The_option_is_got_and_set_and_takes_0_and_1_only()
    {
        Assert.Equal((Errno.None, 1UL), Option(IommuOptionOp.Get, 99));
        Assert.Equal((Errno.None, 0UL), Option(IommuOptionOp.Set, 0));
        Assert.Equal((Errno.None, 0UL), Option(IommuOptionOp.Get, 99));
        Assert.Equal((Errno.None, 0UL), Option(IommuOptionOp.Set, 0));
        Assert.Equal(Errno.EINVAL, Option(IommuOptionOp.Set, 2).Errno);
        Assert.Equal(Errno.EOPNOTSUPP, Option((IommuOptionOp)2, 0).Errno);
        Assert.Equal((Errno.None, 1UL), Option(IommuOptionOp.Set, 1));
        Assert.Equal((Errno.None, 1UL), Option(IommuOptionOp.Get, 99));
    }

    [Fact]
    public void Without_large_pages_iova_length_and_offset_must_be_aligned_to_pages()
    {
        Ok(_ioas.Table.DisableLargePages());
        Assert.Equal(Page, _ioas.Table.IovaAlignment);
        Assert.Equal(Errno.EINVAL, _ioas.MapAt(0x1800));
        Assert.Equal(Errno.EINVAL, _ioas.MapAt(0x1000, 0x1800));
        Assert.Equal(Errno.EINVAL, _ioas.MapAt(0x1000, 0x1000, address: Memory + 0x800));
        Assert.Equal(Errno.EINVAL, _ioas.MapAnywhere(Memory + 0x800, 0x1000, out _));
        Ok(_ioas.MapAnywhere(Memory, 0x1000, out _));
    }

    [Fact]
    public void An_area_in_the_way_is_EEXIST_before_a_badly_aligned_offset_is_EINVAL()
    {
        Ok(_ioas.Table.DisableLargePages());
        Ok(_ioas.MapAt(0x1000));
        Assert.Equal(Errno.EEXIST, _ioas.MapAt(0x1000, address: Memory + 0x800));
    }

    [Theory]
    [InlineData(0x1800, 0x1000, Memory)]
    [InlineData(0x1000, 0x1800, Memory)]
    [InlineData(0x1000, 0x1000, Memory + 0x800)]
    public void Areas_that_are_not_aligned_to_pages_keep_large_pages_on(ulong iova, ulong length, ulong address)
    {
        Ok(_ioas.MapAt(iova, length, address));
        Assert.Equal(Errno.EADDRINUSE, Option(IommuOptionOp.Set, 0).Errno);
        Assert.False(_ioas.Table.LargePagesDisabled);
        Assert.Equal(1UL, _ioas.Table.IovaAlignment);
        Ok(_ioas.UnmapAt(iova, length, out _));
        Assert.Equal((Errno.None, 0UL), Option(IommuOptionOp.Set, 0));
    }

    [Fact]
    public void A_copy_is_checked_against_the_destinations_alignment()
    {
        var other = new IoasModel();
        Ok(_ioas.MapAt(0x1000, 0x2000, address: Memory + 0x800));
        Ok(other.Table.DisableLargePages());
        Assert.Equal(Errno.EINVAL, _ioas.Copy(0x1000, 0x1000, other, 0x1000));
        Ok(_ioas.Copy(0x1800, 0x1000, other, 0x1000));
    }

    [Fact]
    public void The_pieces_of_a_copy_may_meet_inside_a_page()
    {
        var other = new IoasModel();
        Ok(_ioas.MapAt(0x1000, 0x800, address: Memory));
        Ok(_ioas.MapAt(0x1800, 0x800, address: Memory));
        Ok(other.Table.DisableLargePages());
        Ok(_ioas.Copy(0x1000, 0x1000, other, 0x8000));
        Assert.Equal("8000-87ff 8800-8fff", other.Areas());
        Ok(other.Table.DisableLargePages());
        other.Table.EnableLargePages();
        Assert.Equal(Errno.EADDRINUSE, other.Table.DisableLargePages());
    }

    private (Errno Errno, ulong Value) Option(IommuOptionOp op, ulong value)
    {
        var errno = _ioas.HugePages(op, ref value);
        return (errno, value);
    }
}
