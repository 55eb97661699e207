using IommuFd.GrainInterfaces;
using IommuFd.Grains.IoPagetable;
using IommuFd.Grains.Objects.Ioas;
using IommuFd.Grains.Selftest;
using IommuFd.UnitTests.Support;

namespace IommuFd.UnitTests.Selftest;

// How often pages are pinned, beside a plain count page by page.

public sealed class PinCounterTests
{
    private const ulong Page = 4096;

    [Theory]
    [InlineData(1, 0x7000_0000_0000)]
    [InlineData(2, 0)]
    [InlineData(3, ulong.MaxValue - (40 * Page) + 1)]
    public void The_first_page_that_is_pinned_otherwise_is_found(int seed, ulong memory)
    {
        var random = new Random(seed);
        for (var round = 0; round < 5_000; round++)
        {
            var addresses = Pages(memory, random.Next(40), random.Next(40));
            var runs = Enumerable.Range(0, random.Next(8))
                .Select(_ => new PinnedRun(new PagesId(random.Next(2), random.Next(3)), Pages(memory, random.Next(40), random.Next(40))))
                .Where(run => run.Range.Overlaps(addresses))
                .ToList();
            var expected = (uint)random.Next(4);
            Expect.Equal(
                Naive(runs, addresses, expected),
                PinCounter.FirstOther(runs, addresses, expected),
                $"round {round} of seed {seed}: the first page of {addresses} not pinned {expected} times by {string.Join(", ", runs)}");
        }
    }

    [Fact]
    public void Runs_of_the_same_pages_count_once_and_those_of_others_once_more()
    {
        var (same, other) = (new PagesId(1, 1), new PagesId(1, 2));
        PinnedRun[] runs = [new(same, new IovaRange(0x1000, 0x2FFF)), new(same, new IovaRange(0x2000, 0x3FFF)), new(other, new IovaRange(0x3000, 0x3FFF))];
        Expect.Equal(null, PinCounter.FirstOther(runs, new IovaRange(0x1000, 0x2FFF), 1), "pages pinned once");
        Expect.Equal(null, PinCounter.FirstOther(runs, new IovaRange(0x3000, 0x3FFF), 2), "pages pinned twice");
        Expect.Equal((0x3000UL, 2L), PinCounter.FirstOther(runs, new IovaRange(0x1000, 0x3FFF), 1), "the first page not pinned once");
        Expect.Equal((0x4000UL, 0L), PinCounter.FirstOther(runs, new IovaRange(0x3000, 0x4FFF), 2), "the first page not pinned twice");
    }

    [Fact]
    public void Without_a_run_everything_is_pinned_0_times()
    {
        Expect.Equal(null, PinCounter.FirstOther([], IovaRange.All, 0), "pages pinned");
        Expect.Equal((0x5000UL, 0L), PinCounter.FirstOther([], new IovaRange(0x5000, 0x5FFF), 1), "the first page not pinned once");
    }

    private static IovaRange Pages(ulong memory, int one, int other)
        => new(memory + ((ulong)Math.Min(one, other) * Page), memory + ((ulong)Math.Max(one, other) * Page) + (Page - 1));

    private static (ulong Page, long Count)? Naive(List<PinnedRun> runs, IovaRange addresses, uint expected)
    {
        for (UInt128 page = addresses.Start; page <= addresses.Last; page += Page)
        {
            var pins = new HashSet<PagesId>();
            foreach (var run in runs.Where(run => run.Range.Start <= page && page <= run.Range.Last))
            {
                pins.Add(run.Pages);
            }

            if (pins.Count != expected)
            {
                return ((ulong)page, pins.Count);
            }
        }

        return null;
    }
}
