using IommuFd.Grains.Objects.Ioas;
using IommuFd.Uapi;
using static IommuFd.UnitTests.IoPagetable.IoasFixture;

namespace IommuFd.UnitTests.IoPagetable;

public sealed class CopyAndUnmapTests
{
    private readonly IoasModel _ioas = new();
    private readonly IoasModel _other = new();

    [Fact]
    public void A_copy_shares_the_pages_and_not_the_area()
    {
        Ok(_ioas.MapAt(0x1000, 0x4000));
        Ok(_ioas.Copy(0x2100, 0x1000, _other, 0x8100));
        var copy = Assert.Single(_other.Table.Areas);
        Assert.Same(_ioas.Table.Areas.Single().Pages, copy.Pages);
        Assert.Equal(0x1100UL, copy.StartByte);
        Ok(_ioas.UnmapAt(0x1000, 0x4000, out _));
        Assert.Equal("8100-90ff", _other.Areas());
    }

    [Fact]
    public void A_copy_over_several_areas_makes_one_of_each()
    {
        Ok(_ioas.MapAt(0x1000, 0x1000, address: 0x10000));
        Ok(_ioas.MapAt(0x2000, 0x1000, address: 0x20000));
        Ok(_ioas.MapAt(0x3000, 0x1000, address: 0x30000));
        Ok(_ioas.Copy(0x1800, 0x2000, _ioas, 0x8800));
        Assert.Equal("1000-1fff 2000-2fff 3000-3fff 8800-8fff 9000-9fff a000-a7ff", _ioas.Areas());
        Assert.Equal([0x800UL, 0, 0], _ioas.Table.Areas.Skip(3).Select(area => area.StartByte));
    }

    [Theory]
    [InlineData(0x1000, 0, Errno.EINVAL)]
    [InlineData(0x1000, ulong.MaxValue - 0xFFE, Errno.EOVERFLOW)]
    [InlineData(0xFFF, 2, Errno.ENOENT)]
    [InlineData(0x1000, 0x1001, Errno.ENOENT)]
    [InlineData(0x1FFF, 0x1002, Errno.ENOENT)]
    [InlineData(0x5000, 1, Errno.ENOENT)]
    public void What_is_copied_must_be_mapped_without_a_break(ulong iova, ulong length, Errno expected)
    {
        Ok(_ioas.MapAt(0x1000));
        Ok(_ioas.MapAt(0x3000));
        Assert.Equal(expected, _ioas.Copy(iova, length, _other, 0x1000));
    }

    [Fact]
    public void A_copy_can_t_write_what_was_mapped_to_be_read()
    {
        Ok(_ioas.MapAt(0x1000, flags: IommuIoasMapFlags.FixedIova | IommuIoasMapFlags.Readable));
        Ok(_ioas.MapAt(0x2000));
        Assert.Equal(Errno.EPERM, _ioas.Copy(0x1000, 0x1000, _other, 0));
        Ok(_ioas.Copy(0x1000, 0x2000, _other, 0, IommuIoasMapFlags.FixedIova | IommuIoasMapFlags.Readable));
    }

    [Fact]
    public void A_copy_of_which_one_piece_can_t_be_mapped_maps_none()
    {
        Ok(_ioas.MapAt(0x1000));
        Ok(_ioas.MapAt(0x2000, flags: IommuIoasMapFlags.FixedIova | IommuIoasMapFlags.Readable));
        Assert.Equal(Errno.EPERM, _ioas.Copy(0x1000, 0x2000, _other, 0x1000));
        Assert.Equal("", _other.Areas());
    }

    [Fact]
    public void An_area_in_the_way_is_EEXIST_before_EPERM()
    {
        Ok(_ioas.MapAt(0x1000, flags: IommuIoasMapFlags.FixedIova | IommuIoasMapFlags.Readable));
        Assert.Equal(Errno.EEXIST, _ioas.Copy(0x1000, 0x1000, _ioas, 0x1800));
    }

    [Fact]
    public void An_automatic_iova_follows_the_first_pieces_memory()
    {
        Ok(_ioas.MapAt(0x1000, 0x1000, address: 0x10_0000));
        Ok(_ioas.MapAt(0x2000, 0x1000, address: 0x30_1000));
        Ok(_ioas.Copy(0x1000, 0x2000, _other, 0, ReadWrite));
        Ok(_ioas.Copy(0x1300, 0x100, _other, 0, ReadWrite));
        Assert.Equal("1300-13ff 2000-2fff 3000-3fff", _other.Areas());
    }

    [Fact]
    public void Unmap_takes_every_area_of_its_range()
    {
        Ok(_ioas.MapAt(0x1000));
        Ok(_ioas.MapAt(0x3000, 0x10));
        Ok(_ioas.MapAt(0x5000));
        Ok(_ioas.UnmapAt(0x800, 0x4000, out var unmapped));
        Assert.Equal(0x1010UL, unmapped);
        Assert.Equal("5000-5fff", _ioas.Areas());
    }

    [Theory]
    [InlineData(0x1000, 0xFFF)]
    [InlineData(0x1001, 0xFFF)]
    [InlineData(0x1800, 1)]
    [InlineData(0x2000, 0x1000)]
    [InlineData(0, 0x1000)]
    public void Unmap_of_a_part_of_an_area_or_of_nothing_is_ENOENT(ulong iova, ulong length)
    {
        Ok(_ioas.MapAt(0x1000));
        Assert.Equal(Errno.ENOENT, _ioas.UnmapAt(iova, length, out _));
        Assert.Equal("1000-1fff", _ioas.Areas());
    }

    [Fact]
    public void Areas_before_one_that_can_t_go_are_gone_although_the_answer_is_ENOENT()
    {
        Ok(_ioas.MapAt(0x1000));
        Ok(_ioas.MapAt(0x2000, 0x2000));
        Assert.Equal(Errno.ENOENT, _ioas.UnmapAt(0x1000, 0x2000, out _));
        Assert.Equal("2000-3fff", _ioas.Areas());
    }

    [Fact]
    public void Unmap_of_everything_succeeds_also_where_nothing_is()
    {
        Ok(_ioas.UnmapAt(0, ulong.MaxValue, out var unmapped));
        Assert.Equal(0UL, unmapped);
        Ok(_ioas.MapAt(0x1000));
        Ok(_ioas.MapAt(ulong.MaxValue - 0xFFF, 0x1000));
        Ok(_ioas.UnmapAt(0, ulong.MaxValue, out unmapped));
        Assert.Equal(0x2000UL, unmapped);
        Assert.Equal("", _ioas.Areas());
    }

    [Theory]
    [InlineData(1, ulong.MaxValue, Errno.EOVERFLOW)]
    [InlineData(ulong.MaxValue, 0, Errno.EOVERFLOW)]
    [InlineData(0, 0, Errno.EINVAL)]
    [InlineData(0x2000, ulong.MaxValue - 0xFFF, Errno.EOVERFLOW)]
    [InlineData(0x2000, ulong.MaxValue - 0x1FFF, Errno.ENOENT)]
    public void Unmap_refuses_ranges_that_are_none(ulong iova, ulong length, Errno expected)
        => Assert.Equal(expected, _ioas.UnmapAt(iova, length, out _));

    [Fact]
    public void A_cut_makes_its_iova_the_last_of_an_area()
    {
        Ok(_ioas.MapAt(0x1000, 0x4000));
        Ok(_ioas.Table.Cut([0x1FFF, 0x9999, 0x3FFF]));
        Assert.Equal("1000-1fff 2000-3fff 4000-4fff", _ioas.Areas());
        Assert.Equal([0UL, 0x1000, 0x3000], _ioas.Table.Areas.Select(area => area.StartByte));
        Assert.Single(_ioas.Table.Areas.Select(area => area.Pages).Distinct());
    }

    [Fact]
    public void A_cut_at_an_areas_edge_is_none()
    {
        Ok(_ioas.MapAt(0x1000, 0x4000));
        Ok(_ioas.Table.Cut([0x1000, 0x4FFF, 0xFFF]));
        Assert.Equal("1000-4fff", _ioas.Areas());
    }

    [Fact]
    public void A_cut_must_be_aligned_and_leaves_earlier_cuts_when_it_is_not()
    {
        Ok(_ioas.MapAt(0x1000, 0x4000));
        Ok(_ioas.Table.DisableLargePages());
        Assert.Equal(Errno.EINVAL, _ioas.Table.Cut([0x1FFF, 0x3000, 0x3FFF]));
        Assert.Equal("1000-1fff 2000-4fff", _ioas.Areas());
    }
}
