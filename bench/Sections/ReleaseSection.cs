using System.Diagnostics;
using IommuFd.Bench.Harness;

namespace IommuFd.Bench.Sections;

/// <summary>What closing a context costs for each of its objects.</summary>
internal static class ReleaseSection
{
    private const string Section = "release";
    private const int Unused = 1_000_000;
    private const int Used = 10_000;

    public static async Task RunAsync(BenchRun run)
    {
        var unused = $"close with {Unused:#,0} IOASes never used, each";
        if (run.Options.Selects(Section, unused))
        {
            var times = await RepeatAsync(run, () => CloseAsync(run, Unused, activated: 0));
            run.Add(new Row { Section = Section, Name = unused, Unit = "ns", Value = Spread.Of(times[0]) });
        }

        var used = $"close with {Used:#,0} IOASes used, each";
        if (run.Options.Selects(Section, used))
        {
            var times = await RepeatAsync(run, () => EndTrivialAsync(run, Used), () => CloseAsync(run, Used, activated: Used));
            run.Add(new Row
            {
                Section = Section,
                Name = used,
                Unit = "ns",
                Value = Spread.Of(times[1]),
                Yardstick = "end a trivial activation",
                YardstickValue = Spread.Of(times[0]),
                Ratio = Spread.Of(times[1].Zip(times[0], (time, yardstick) => time / yardstick)),
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

    // In turns, as everything is. The first time warms up.
    private static async Task<List<double>[]> RepeatAsync(BenchRun run, params Func<Task<double>>[] measures)
    {
        List<double>[] times = [.. measures.Select(_ => new List<double>())];
        for (var i = 0; i <= run.Options.Repetitions; i++)
        {
            for (var j = 0; j < measures.Length; j++)
            {
                times[j].Add(await measures[j]());
                await Activations.SettleAsync(run);
            }
        }

        foreach (var list in times)
        {
            list.RemoveAt(0);
        }

        return times;
    }
}
