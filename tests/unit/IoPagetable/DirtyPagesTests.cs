using IommuFd.GrainInterfaces;
using IommuFd.Grains.IoPagetable;
using IommuFd.UnitTests.Support;

namespace IommuFd.UnitTests.IoPagetable;

// The sparse bitmap of dirty pages, beside a plain set of page numbers.

public sealed class DirtyPagesTests
{
    [Theory]
    [InlineData(1, 1)]
    [InlineData(2, 2048)]
    [InlineData(3, 4096)]
    public void It_is_a_set_of_pages(int seed, ulong pageSize)
    {
        var random = new Random(seed);
        var (dirty, naive) = (new DirtyPages(pageSize), new HashSet<UInt128>());
        for (var round = 0; round < 10_000; round++)
        {
            var what = $"round {round} of seed {seed}, pages of {pageSize}";
            var range = Range(random, pageSize);
            switch (random.Next(8))
            {
                case < 5:
                    dirty.Set(range.Start);
                    naive.Add(range.Start / pageSize);
                    break;
                case < 6:
                    dirty.Clear(range);
                    naive.RemoveWhere(page => IsIn(page, range, pageSize));
                    break;
                default:
                    Expect.Sequence(Runs(naive.Where(page => IsIn(page, range, pageSize)), pageSize), dirty.Runs(range), $"{what}: dirty pages of {range}");
                    break;
            }

            Expect.Equal(naive.Count, dirty.Count, $"{what}: number of dirty pages");
        }

        Expect.Sequence(Runs(naive, pageSize), dirty.Runs(IovaRange.All), $"all dirty pages of seed {seed}");
        dirty.Clear(IovaRange.All);
        Expect.Equal(0L, dirty.Count, "dirty pages after clearing all");
        Expect.Sequence([], dirty.Runs(IovaRange.All), "dirty pages after clearing all");
    }

    [Theory]
    [InlineData(1)]
    [InlineData(4096)]
    public void The_first_and_the_last_page_of_all_IOVAs_are_pages_like_others(ulong pageSize)
    {
        var dirty = new DirtyPages(pageSize);
        var (first, last) = (new IovaRange(0, pageSize - 1), new IovaRange(0 - pageSize, ulong.MaxValue));
        dirty.Set(0);
        dirty.Set(ulong.MaxValue);
        Expect.Sequence([first, last], dirty.Runs(IovaRange.All), "dirty pages");
        Expect.Sequence([last], dirty.Runs(new IovaRange(ulong.MaxValue, ulong.MaxValue)), "dirty pages of the last IOVA");
        Expect.Sequence([first], dirty.Runs(new IovaRange(0, ulong.MaxValue - pageSize)), "dirty pages of all but the last page");
        dirty.Clear(new IovaRange(1UL << 63, ulong.MaxValue));
        Expect.Sequence([first], dirty.Runs(IovaRange.All), "dirty pages after clearing the upper half");
    }

    [Fact]
    public void A_page_is_dirty_once_however_often_it_is_written()
    {
        var dirty = new DirtyPages(2048);
        dirty.Set(0x1000);
        dirty.Set(0x17FF);
        Expect.Equal(1L, dirty.Count, "dirty pages");
        dirty.Set(0x1800);
        Expect.Equal(2L, dirty.Count, "dirty pages");
        Expect.Sequence([new IovaRange(0x1000, 0x1FFF)], dirty.Runs(IovaRange.All), "neighbours");
    }

    [Fact]
    public void A_run_goes_on_across_words_and_stops_where_the_range_does()
    {
        var dirty = new DirtyPages(4096);
        for (ulong page = 60; page < 200; page++)
        {
            dirty.Set(page * 4096);
        }

        Expect.Sequence([new IovaRange(60 * 4096, (200 * 4096) - 1)], dirty.Runs(IovaRange.All), "the whole run");
        Expect.Sequence([new IovaRange(63 * 4096, (129 * 4096) - 1)], dirty.Runs(new IovaRange((63 * 4096) + 5, 128 * 4096)), "a part of the run");
    }

    // Ranges that collide, with both ends of the IOVA space among them.
    private static IovaRange Range(Random random, ulong pageSize)
    {
        var page = (ulong)random.Next(400);
        var pages = (ulong)random.Next(1, random.Next(3) == 0 ? 300 : 10);
        if (random.Next(50) == 0)
        {
            return IovaRange.All;
        }

        var start = (page * pageSize) + (ulong)random.NextInt64((long)pageSize);
        var last = start + (pages * pageSize) - (ulong)random.NextInt64(1, (long)pageSize + 1);
        return random.Next(2) == 0 ? new IovaRange(start, last) : new IovaRange(ulong.MaxValue - last, ulong.MaxValue - start);
    }

    private static bool IsIn(UInt128 page, IovaRange range, ulong pageSize)
        => page * pageSize <= range.Last && (page + 1) * pageSize > range.Start;

    private static List<IovaRange> Runs(IEnumerable<UInt128> pages, ulong pageSize)
    {
        var runs = new List<IovaRange>();
        foreach (var page in pages.Order())
        {
            var (start, last) = ((ulong)(page * pageSize), (ulong)(((page + 1) * pageSize) - 1));
            if (runs.Count > 0 && (UInt128)runs[^1].Last + 1 == start)
            {
                runs[^1] = runs[^1] with { Last = last };
            }
            else
            {
                runs.Add(new IovaRange(start, last));
            }
        }

        return runs;
    }
}
