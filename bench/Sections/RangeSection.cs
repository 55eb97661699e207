using System.Diagnostics;
using System.Globalization;
using IommuFd.Bench.Harness;
using IommuFd.Bench.Yardsticks;
using IommuFd.GrainInterfaces;
using IommuFd.Uapi;

namespace IommuFd.Bench.Sections;

// What a program does that maps all its memory page by page: 256 MiB in pages of 4 KiB, mapped and unmapped eleven times in turn, and an unmap of what
// is left. As many calls of two hops are the yardstick.

/// <summary>720,897 map and unmap ioctls of one range, of a volatile context in this process.</summary>
internal static class RangeSection
{
    private const string Section = "range";
    private const int Pages = 65_536;
    private const int Passes = 11;
    private const int UnderWay = 256;
    private const int Ioctls = (Passes * Pages) + 1;

    private static readonly Target Seconds = Target.ValueAtMost(2);

    public static async Task RunAsync(BenchRun run)
    {
        await CompareAsync(run, $"{Ioctls:#,0} IOAS_MAP and IOAS_UNMAP, SDK, one at a time", callers: 1);
        await CompareAsync(run, $"{Ioctls:#,0} IOAS_MAP and IOAS_UNMAP, SDK, {UnderWay} under way", UnderWay);
    }

    private static async Task CompareAsync(BenchRun run, string name, int callers)
    {
        if (!run.Options.Selects(Section, name))
        {
            return;
        }

        List<double> hops = [], ioctls = [];
        for (var i = 0; i <= run.Options.Repetitions; i++)
        {
            hops.Add(await HopsAsync(run));
            ioctls.Add(await MapAsync(run, callers));
        }

        // The first repetition warms up.
        run.Add(new Row
        {
            Section = Section,
            Name = name,
            Unit = "s",
            Value = Spread.Of(ioctls.Skip(1)),
            Yardstick = string.Create(CultureInfo.InvariantCulture, $"{Ioctls:#,0} of two hops, one at a time"),
            YardstickValue = Spread.Of(hops.Skip(1)),
            Ratio = Spread.Of(ioctls.Zip(hops, (time, reference) => time / reference).Skip(1)),
            Target = Seconds,
        });
    }

    private static async Task<double> HopsAsync(BenchRun run)
    {
        var (relay, request) = (run.Grains.GetGrain<IRelayGrain>(0), new YardstickRequest { Argument = new byte[40] });
        return await MeasureAsync(Ioctls, callers: 1, async _ => (await relay.RelayAsync(request)).Argument.Length == request.Argument.Length);
    }

    private static async Task<double> MapAsync(BenchRun run, int callers)
    {
        await using var context = await run.Client.OpenAsync("bench");
        var ioas = await context.AllocateIoasAsync();
        IoctlRequest[] maps = [.. Enumerable.Range(0, Pages).Select(page => Sections.Ioctls.MapPage(ioas, (ulong)page * Sections.Ioctls.PageBytes))];
        IoctlRequest[] unmaps = [.. Enumerable.Range(0, Pages).Select(page => Unmap(ioas, (ulong)page * Sections.Ioctls.PageBytes, Sections.Ioctls.PageBytes))];
        GC.Collect();
        var seconds = 0.0;
        for (var pass = 0; pass < Passes; pass++)
        {
            var requests = pass % 2 == 0 ? maps : unmaps;
            seconds += await MeasureAsync(Pages, callers, async page => (await context.SendAsync(requests[page], CancellationToken.None)).Errno == Errno.None);
        }

        return seconds + await MeasureAsync(1, 1, async _ => (await context.SendAsync(Unmap(ioas, 0, ulong.MaxValue), CancellationToken.None)).Errno == Errno.None);
    }

    private static IoctlRequest Unmap(ObjectId ioas, ulong iova, ulong length)
        => Sections.Ioctls.Request(IommuCommand.IoasUnmap, new IommuIoasUnmap { IoasId = ioas.Value, Iova = iova, Length = length });

    // Each caller has one call under way, and takes the next that nobody has made.
    private static async Task<double> MeasureAsync(int calls, int callers, Func<int, ValueTask<bool>> call)
    {
        var (start, next) = (Stopwatch.GetTimestamp(), -1);
        await Task.WhenAll(Enumerable.Range(0, callers).Select(_ => Task.Run(async () =>
        {
            while (Interlocked.Increment(ref next) is var number && number < calls)
            {
                if (!await call(number))
                {
                    throw new InvalidOperationException($"Call {number} got a reply that is not the one to measure.");
                }
            }
        })));
        return Stopwatch.GetElapsedTime(start).TotalSeconds;
    }
}
