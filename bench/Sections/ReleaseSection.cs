using System.Diagnostics;
using IommuFd.Bench.Harness;

namespace IommuFd.Bench.Sections;

/// <summary>What closing a context costs for each of its objects.</summary>
internal static class ReleaseSection
{
    private const string Section = "release";
    private const int Objects = 1_000_000;

    public static async Task RunAsync(BenchRun run)
    {
        var activated = run.Options.Activations;
        var unused = $"close with {Objects:#,0} IOASes never used, each";
        if (run.Options.Selects(Section, unused))
        {
            var times = await RepeatAsync(run, () => CloseAsync(run, Objects, activated: 0));
            run.Add(new Row { Section = Section, Name = unused, Unit = "ns", Value = Spread.Of(times) });
        }

        var used = $"close with {activated:#,0} IOASes used, each";
        if (run.Options.Selects(Section, used))
        {
            var yardsticks = await RepeatAsync(run, () => EndTrivialAsync(run, activated));
            var times = await RepeatAsync(run, () => CloseAsync(run, activated, activated));
            run.Add(new Row
            {
                Section = Section,
                Name = used,
                Unit = "ns",
                Value = Spread.Of(times),
                Yardstick = "end a trivial activation",
                YardstickValue = Spread.Of(yardsticks),
                Ratio = Spread.Of(times.Zip(yardsticks, (time, yardstick) => time / yardstick)),
            });
        }
    }

    private static async Task<double> CloseAsync(BenchRun run, int objects, int activated)
    {
        var filled = await FilledContext.OpenAsync(run);
        await filled.AllocateAsync(objects);
        await filled.ActivateAsync(activated);
        return await MeasureAsync(objects, () => filled.Context.CloseAsync());
    }

    private static async Task<double> EndTrivialAsync(BenchRun run, int count)
    {
        var trivials = new Activations(run, count);
        await trivials.ActivateAsync();
        return await MeasureAsync(count, trivials.EndAsync);
    }

    private static async Task<double> MeasureAsync(int count, Func<Task> action)
    {
        GC.Collect();
        var start = Stopwatch.GetTimestamp();
        await action();
        return Stopwatch.GetElapsedTime(start).TotalNanoseconds / count;
    }

    // The first time warms up.
    private static async Task<List<double>> RepeatAsync(BenchRun run, Func<Task<double>> measure)
    {
        var times = new List<double>();
        for (var i = 0; i <= run.Options.Repetitions; i++)
        {
            times.Add(await measure());
            await Activations.SettleAsync(run);
        }

        return times[1..];
    }
}
