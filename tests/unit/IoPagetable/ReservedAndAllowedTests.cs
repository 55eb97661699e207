using IommuFd.GrainInterfaces;
using IommuFd.Grains.Objects.Ioas;
using IommuFd.Uapi;
using static IommuFd.UnitTests.IoPagetable.IoasFixture;

namespace IommuFd.UnitTests.IoPagetable;

public sealed class ReservedAndAllowedTests
{
    private readonly IoasModel _ioas = new();

    [Fact]
    public void A_mapped_or_allowed_iova_can_t_be_reserved()
    {
        Ok(_ioas.MapAt(0x1000));
        Ok(_ioas.Allow((0x8000, 0x8FFF)));
        Assert.Equal(Errno.EADDRINUSE, _ioas.Reserve(0, 0x1000));
        Assert.Equal(Errno.EADDRINUSE, _ioas.Reserve(0x8FFF, 0x9000));
        Ok(_ioas.Reserve(0x2000, 0x7FFF));
    }

    [Fact]
    public void What_is_to_be_reserved_must_be_a_range()
    {
        Assert.Equal(Errno.EINVAL, IoasChecks.AddReserved(0x1000, 0, out _));
        Assert.Equal(Errno.EOVERFLOW, IoasChecks.AddReserved(2, ulong.MaxValue, out _));
        Ok(IoasChecks.AddReserved(1, ulong.MaxValue, out var range));
        Ok(_ioas.AddReserved(range));
        Assert.Equal(["[0x0, 0x0]"], _ioas.Table.Reserved.Holes.Select(hole => hole.ToString()));
    }

    [Fact]
    public void Reservations_overlap_and_go_with_their_owner()
    {
        object device = new(), domain = new();
        Ok(_ioas.Reserve(0x1000, 0x4FFF, device));
        Ok(_ioas.Reserve(0x3000, 0x6FFF, domain));
        Ok(_ioas.Reserve(0x3800, 0x3FFF));
        Ok(_ioas.Reserve(0x5000, 0x5FFF, device));
        Assert.Equal([new(0, 0xFFF), new(0x7000, ulong.MaxValue)], _ioas.Table.Reserved.Holes);
        _ioas.Table.RemoveReserved(domain);
        Assert.Equal([new(0, 0xFFF), new(0x6000, ulong.MaxValue)], _ioas.Table.Reserved.Holes);
        _ioas.Table.RemoveReserved(device);
        Assert.Equal([new(0, 0x37FF), new(0x4000, ulong.MaxValue)], _ioas.Table.Reserved.Holes);
        _ioas.Table.Validate();
    }

    [Fact]
    public void Iova_ranges_are_the_holes_between_reservations_that_touch_or_not()
    {
        Ok(_ioas.Reserve(0, 0xFFF));
        Ok(_ioas.Reserve(0x2000, 0x2FFF));
        Ok(_ioas.Reserve(0x3000, 0x3FFF));
        Ok(_ioas.Reserve(ulong.MaxValue - 0xFFF, ulong.MaxValue));
        var ranges = new List<IommuIovaRange>();
        Ok(_ioas.IovaRanges(8, ulong.MaxValue, ranges, out var count, out var alignment));
        Assert.Equal([(0x1000UL, 0x1FFFUL), (0x4000, ulong.MaxValue - 0x1000)], ranges.Select(range => (range.Start, range.Last)));
        Assert.Equal((2U, 1UL), (count, alignment));
    }

    [Fact]
    public void Iova_ranges_without_room_are_counted_and_EMSGSIZE()
    {
        Ok(_ioas.Reserve(0x2000, 0x2FFF));
        Ok(_ioas.Reserve(0x4000, 0x4FFF));
        var ranges = new List<IommuIovaRange>();
        Assert.Equal(Errno.EMSGSIZE, _ioas.IovaRanges(2, 64, ranges, out var count, out _));
        Assert.Equal((3U, 2), (count, ranges.Count));
    }

    [Fact]
    public void Iova_ranges_that_can_t_be_written_are_EFAULT_and_those_before_are_written()
    {
        Ok(_ioas.Reserve(0x2000, 0x2FFF));
        var ranges = new List<IommuIovaRange>();
        Assert.Equal(Errno.EFAULT, _ioas.IovaRanges(8, 31, ranges, out _, out _));
        Assert.Single(ranges);
        ranges.Clear();
        Assert.Equal(Errno.EMSGSIZE, _ioas.IovaRanges(0, 0, ranges, out var count, out _));
        Assert.Equal(2U, count);
    }

    [Fact]
    public void Allowed_iovas_replace_the_earlier_ones_or_change_nothing()
    {
        Ok(_ioas.Reserve(0x5000, 0x5FFF));
        Ok(_ioas.Allow((0x1000, 0x1FFF)));
        Assert.Equal(Errno.EADDRINUSE, _ioas.Allow((0x8000, 0x8FFF), (0x5FFF, 0x6000)));
        Assert.Equal([new IovaRange(0x1000, 0x1FFF)], _ioas.Table.Allowed.Ranges.ToArray());
        Ok(_ioas.Allow());
        Assert.True(_ioas.Table.Allowed.IsEmpty);
        Ok(_ioas.Reserve(0x1000, 0x1FFF));
    }

    [Theory]
    [InlineData(0x1000, 0x1000)]
    [InlineData(0x2000, 0x1000)]
    [InlineData(0x8FFF, 0x9000)]
    [InlineData(0x7000, 0x8000)]
    public void Allowed_ranges_must_ascend_have_two_iovas_and_not_overlap(ulong start, ulong last)
        => Assert.Equal(Errno.EINVAL, _ioas.Allow((0x8000, 0x8FFF), (start, last)));

    [Fact]
    public void A_wrong_range_is_EINVAL_before_one_that_can_t_be_read_is_EFAULT()
    {
        Assert.Equal(Errno.EFAULT, _ioas.AllowIovas(2, Bytes((0x1000, 0x1FFF))));
        Assert.Equal(Errno.EFAULT, _ioas.AllowIovas(2, Bytes((0x1000, 0x1FFF), (2, 1)).AsSpan(0, 31)));
        Assert.Equal(Errno.EINVAL, _ioas.AllowIovas(2, Bytes((0x1000, 0x1000))));
        Assert.Equal(Errno.EFAULT, _ioas.AllowIovas(uint.MaxValue, []));
        Ok(_ioas.AllowIovas(1, Bytes((0x1000, 0x1FFF), (2, 1))));
        Assert.Single(_ioas.Table.Allowed.Ranges.ToArray());
    }

    [Fact]
    public void Areas_do_not_stand_in_the_way_of_what_is_allowed()
    {
        Ok(_ioas.MapAt(0x1000));
        Ok(_ioas.Allow((0x8000, 0x8FFF)));
    }
}
