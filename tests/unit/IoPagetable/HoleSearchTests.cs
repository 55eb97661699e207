using CsCheck;
using IommuFd.GrainInterfaces;
using IommuFd.Grains.IoPagetable;
using IommuFd.Grains.IoPagetable.Trees;

namespace IommuFd.UnitTests.IoPagetable;

// Trying one hole, and the pruning that saves trying it: a hole that a request fits must never be pruned.

public sealed class HoleSearchTests
{
    private static readonly Gen<ulong> Edge = Gen.Select(Gen.Int[0, 63], Gen.ULong[0, 8], (shift, near) => (1UL << shift) + near - 4);
    private static readonly Gen<ulong> Iova = Gen.OneOf(Edge, Gen.ULong[0, 1 << 24], Gen.ULong[0, 1 << 24].Select(iova => ulong.MaxValue - iova));

    // Where a hole starts and how large it is. There is something before it and something behind it.
    private static readonly Gen<(ulong Start, ulong Size)> Hole = Gen.Select(Iova, Iova).Where((start, size) => start != 0 && size != 0 && start + size > start);

    [Fact]
    public void What_fits_is_never_pruned()
        => Gen.Select(Hole, Gen.ULong[1, 1 << 23], Iova).Sample(
            (place, length, address) =>
            {
                var (start, size) = place;
                var sizes = GapSizes.Between(start - 1, start + size);
                var request = new HoleRequest(length, HoleRequest.AlignmentFor(address, length), address % PageSizes.Page);
                var hole = new IovaRange(start, start + size - 1);
                var fits = request.Fits(hole, out var iova);
                Assert.True(!fits || request.MayFit(sizes));
                Assert.True(!fits || (iova >= hole.Start && hole.Last - iova >= length - 1));
                Assert.True(!fits || request.WithoutPageOffset.Fits(hole, out _));
                Assert.True(fits || !request.MayFit(sizes) || HoleRequest.AlignmentFor(address, length) < PageSizes.Page);
            },
            iter: 200_000,
            threads: 1);

    [Fact]
    public void Lanes_are_the_sizes_behind_each_alignment()
        => Hole.Sample(
            (start, size) =>
            {
                var sizes = GapSizes.Between(start - 1, start + size);
                Assert.Equal(size, sizes[GapSizes.PlainLane]);
                Assert.Equal(size + (start % PageSizes.Page), sizes[GapSizes.PageLane]);
                for (var alignment = PageSizes.Page; alignment <= PageSizes.Huge; alignment *= 2)
                {
                    var aligned = ((UInt128)start + alignment - 1) / alignment * alignment;
                    var left = aligned < (UInt128)start + size ? (ulong)((UInt128)start + size - aligned) : 0;
                    Assert.Equal(left, sizes[GapSizes.LaneOf(alignment)]);
                }
            },
            iter: 100_000,
            threads: 1);

    [Fact]
    public void Ranges_that_touch_leave_no_gap()
    {
        Assert.Equal(default, GapSizes.Between(0xFFF, 0x1000));
        Assert.Equal(default, GapSizes.Between(0x10, 0x11));
    }

    [Theory]
    [InlineData(0x1000, 4096UL, 4096UL)]
    [InlineData(0x2000, 4096UL, 4096UL)]
    [InlineData(0x2000, 4097UL, 8192UL)]
    [InlineData(0x2000, 1UL, 1UL)]
    [InlineData(0x2008, 4096UL, 8UL)]
    [InlineData(0x2001, 4096UL, 1UL)]
    [InlineData(0x4000_0000, 1UL << 30, 2UL << 20)]
    [InlineData(0, 1UL << 30, 2UL << 20)]
    [InlineData(0, 100UL, 128UL)]
    public void Alignment_is_the_least_of_memory_length_and_huge_page(ulong address, ulong length, ulong alignment)
        => Assert.Equal(alignment, HoleRequest.AlignmentFor(address, length));

    [Fact]
    public void A_hole_of_one_iova_is_never_taken()
    {
        Assert.False(new HoleRequest(1, 1, 0).Fits(new IovaRange(8, 8), out _));
        Assert.True(new HoleRequest(1, 1, 0).Fits(new IovaRange(8, 9), out var iova) && iova == 8);
    }

    [Fact]
    public void A_start_that_cannot_be_rounded_up_does_not_fit()
        => Assert.False(new HoleRequest(1, PageSizes.Huge, 0).Fits(new IovaRange(ulong.MaxValue - 5, ulong.MaxValue), out _));
}
