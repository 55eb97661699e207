using IommuFd.Grains.Objects.Ioas;
using IommuFd.Uapi;
using static IommuFd.UnitTests.IoPagetable.IoasFixture;

namespace IommuFd.UnitTests.IoPagetable;

// Which IOVA a mapping gets where it does not name one.

public sealed class AutomaticIovaTests
{
    private const ulong Huge = 2 << 20;

    private readonly IoasModel _ioas = new();

    [Theory]
    [InlineData(Memory, Page, 0x1000)]
    [InlineData(Memory + 0x2FD, 8, 0x12FD)]
    [InlineData(Memory + 0x800, Page, 0x1800)]
    [InlineData(0x7000_0000_0000, 0x3000, 0x4000)]
    [InlineData(0x7000_0000_2000, 0x10000, 0x2000)]
    [InlineData(0x7000_0000_0000, 1UL << 30, Huge)]
    [InlineData(0, Page, 0x1000)]
    [InlineData(0, 0x5000, 0x8000)]
    [InlineData(0, 1UL << 40, Huge)]
    public void The_first_iova_is_aligned_as_the_memory_and_length_are_and_never_0(ulong address, ulong length, ulong expected)
    {
        Ok(_ioas.MapAnywhere(address, length, out var iova));
        Assert.Equal(expected, iova);
    }

    [Fact]
    public void The_lowest_hole_that_takes_it_is_taken()
    {
        for (ulong iova = 0x1000; iova < 0x10000; iova += 0x1000)
        {
            Ok(_ioas.MapAt(iova));
        }

        Ok(_ioas.UnmapAt(0x9000, 0x2000, out _));
        Ok(_ioas.UnmapAt(0x4000, 0x1000, out _));
        Ok(_ioas.MapAnywhere(Memory, 0x2000, out var two));
        Ok(_ioas.MapAnywhere(Memory, 0x1000, out var one));
        Ok(_ioas.MapAnywhere(Memory, 0x1000, out var next));
        Assert.Equal((0x9000UL, 0x4000UL, 0x10000UL), (two, one, next));
    }

    [Fact]
    public void Holes_that_are_long_enough_but_lie_badly_are_passed_over()
    {
        // Gaps of 2 MiB, none of which starts at a multiple of 2 MiB, and then a longer one.
        const ulong good = 5;
        for (ulong i = 0; i < good; i++)
        {
            Ok(_ioas.MapAt(0x1000 + (i * (Huge + Page))));
        }

        Ok(_ioas.MapAt(0x2000 + (good * (Huge + Page)) + (2 * Huge)));
        Ok(_ioas.MapAnywhere(Huge, Huge, out var iova));
        Assert.Equal(good * Huge, iova);
    }

    [Fact]
    public void A_hole_gets_one_chance_though_a_later_iova_in_it_would_do()
    {
        // 0x2003 with the offset 4 in the page is 0x2007, past the hole's end; 0x2004 would have fitted.
        Ok(_ioas.MapAt(0x1000, 0x1003));
        Ok(_ioas.MapAt(0x2007, 0x1000));
        Ok(_ioas.MapAnywhere(Memory + 4, 1, out var iova));
        Assert.Equal(0x3007UL, iova);
    }

    [Fact]
    public void The_chance_is_each_holes_and_not_each_unreserved_ranges()
    {
        Ok(_ioas.Reserve(0, 0x2002));
        Ok(_ioas.Reserve(0x2007, ulong.MaxValue));
        Ok(_ioas.MapAt(0x2003, 1));
        Ok(_ioas.MapAnywhere(Memory + 4, 1, out var iova));
        Assert.Equal(0x2004UL, iova);
    }

    [Fact]
    public void The_chance_is_each_allowed_stretchs_too()
    {
        Ok(_ioas.Allow((0x2003, 0x2006)));
        Ok(_ioas.MapAt(0x2003, 1));
        Assert.Equal(Errno.ENOSPC, _ioas.MapAnywhere(Memory + 4, 1, out _));
    }

    [Fact]
    public void Reserved_iovas_are_not_chosen()
    {
        Ok(_ioas.Reserve(0, 0x7FFF));
        Ok(_ioas.Reserve(0x9000, 0xFFFF));
        Ok(_ioas.MapAnywhere(Memory, 0x2000, out var iova));
        Assert.Equal(0x10000UL, iova);
        Ok(_ioas.MapAnywhere(Memory, 0x1000, out iova));
        Assert.Equal(0x8000UL, iova);
    }

    [Fact]
    public void Only_allowed_iovas_are_chosen_and_ranges_that_touch_are_one()
    {
        Ok(_ioas.Allow((0x20000, 0x20FFF), (0x8000, 0x8FFF), (0x21000, 0x21FFF)));
        Ok(_ioas.MapAnywhere(Memory, 0x2000, out var iova));
        Assert.Equal(0x20000UL, iova);
        Ok(_ioas.MapAnywhere(Memory, 0x1000, out iova));
        Assert.Equal(0x8000UL, iova);
        Assert.Equal(Errno.ENOSPC, _ioas.MapAnywhere(Memory, 0x1000, out _));
    }

    [Fact]
    public void The_first_and_the_last_page_are_not_chosen()
    {
        Ok(_ioas.Allow((0, 0xFFF), (ulong.MaxValue - 0xFFF, ulong.MaxValue)));
        Assert.Equal(Errno.ENOSPC, _ioas.MapAnywhere(Memory, 1, out _));
    }

    [Fact]
    public void Half_of_all_iovas_and_more_is_EOVERFLOW_and_less_may_be_ENOSPC()
    {
        Ok(_ioas.Reserve(1UL << 62, 1UL << 62));
        Assert.Equal(Errno.EOVERFLOW, _ioas.MapAnywhere(0, (1UL << 63) - 1, out _));
        Assert.Equal(Errno.EINVAL, _ioas.MapAnywhere(0, 0, out _));
        Ok(_ioas.MapAnywhere(0, (1UL << 63) - 2, out var iova));
        Assert.Equal((1UL << 62) + Huge, iova);
        Assert.Equal(Errno.ENOSPC, _ioas.MapAnywhere(0, (1UL << 63) - 2, out _));
    }

    [Fact]
    public void The_largest_hole_is_what_could_still_be_chosen()
    {
        Assert.Equal(ulong.MaxValue - 0x1FFF, _ioas.Table.LargestHole());
        Ok(_ioas.Allow((0x1000, 0xFFFF), (0x20000, 0x28FFF)));
        Assert.Equal(0xF000UL, _ioas.Table.LargestHole());
        Ok(_ioas.MapAt(0x5000));
        Assert.Equal(0xA000UL, _ioas.Table.LargestHole());
        Ok(_ioas.MapAt(0x8000));
        Assert.Equal(0x9000UL, _ioas.Table.LargestHole());
        Ok(_ioas.MapAt(0x20000, 0x10000));
        Ok(_ioas.MapAt(0x9000, 0x8000));
        Assert.Equal(0x4000UL, _ioas.Table.LargestHole());
    }
}
