using System.Diagnostics;
using System.Globalization;
using IommuFd.Bench.Harness;
using IommuFd.Grains.Model;

namespace IommuFd.Bench.Sections;

/// <summary>A graph of four levels: owners hold devices, which hold a HWPT for each IOAS, which holds the IOAS.</summary>
/// <param name="Ioases">Number of IOASes. Their grains are active, since they have the HWPTs' domains. No other object's grain was
/// called.</param>
/// <param name="DevicesEach">Number of devices attached to each.</param>
internal readonly record struct ReleasedGraph(int Ioases, int DevicesEach)
{
    public int Objects => Ioases * (2 + (2 * DevicesEach));
}

/// <summary>The cost of closing a context per object: with IOASes that hold nothing, and with graphs.</summary>
internal static class ReleaseSection
{
    private const string Section = "release";
    private const int Unused = 1_000_000;
    private const int Used = 100_000;

    // A single one is over so fast that most of the time measured would be the machine's other work.
    private const int TablesAtOnce = 4;

    // Both have equally many objects: chains with one of each kind, and few IOASes with many devices.
    private static readonly ReleasedGraph[] Graphs = [new(25_000, 1), new(100, 499)];

    private static readonly Target AtMostTwice = Target.RatioAtMost(2);

    public static async Task RunAsync(BenchRun run)
    {
        var unused = $"close with {Unused:#,0} IOASes never used, each";
        if (run.Options.Selects(Section, unused))
        {
            var times = await RepeatAsync(run, () => CloseAsync(run, Unused, activated: 0));
            run.Add(new Row { Section = Section, Name = unused, Unit = "ns", Value = Spread.Of(times[0]) });
        }

        await CompareAsync(
            run, $"close with {Used:#,0} IOASes used, each", () => CloseAsync(run, Used, activated: Used),
            "end a trivial activation", () => EndTrivialAsync(run, Used), Target.RatioAtMost(0.2));
        foreach (var graph in Graphs)
        {
            CompareTables(run, graph);
            await CompareAsync(
                run, $"close with {Describe(graph)}, each", () => CloseGraphAsync(run, graph),
                $"{graph.Objects:#,0} IOASes, {graph.Ioases:#,0} used", () => CloseAsync(run, graph.Objects, activated: graph.Ioases), AtMostTwice);
        }
    }

    private static async Task CompareAsync(
        BenchRun run, string name, Func<Task<double>> measure, string yardstick, Func<Task<double>> measureYardstick, Target? target = null)
    {
        if (run.Options.Selects(Section, name))
        {
            var times = await RepeatAsync(run, measureYardstick, measure);
            Add(run, name, times[1], yardstick, times[0], target);
        }
    }

    private static void CompareTables(BenchRun run, ReleasedGraph graph)
    {
        var name = $"table alone: release {Describe(graph)}, each";
        if (!run.Options.Selects(Section, name))
        {
            return;
        }

        var warmUp = Stopwatch.GetTimestamp();
        while (Stopwatch.GetElapsedTime(warmUp) < run.Options.WarmUp)
        {
            ReleaseTables(Flat);
            ReleaseTables(InGraph);
        }

        var times = Enumerable.Range(0, run.Options.Rounds)
            .Select(_ => (Flat: ReleaseTables(Flat), Graph: ReleaseTables(InGraph)))
            .ToList();
        Add(
            run, name, [.. times.Select(time => time.Graph)],
            $"{graph.Objects:#,0} IOASes", [.. times.Select(time => time.Flat)], AtMostTwice);

        ObjectTable Flat() => ObjectTables.Flat(graph.Objects);
        ObjectTable InGraph() => ObjectTables.Graph(graph);
    }

    private static void Add(BenchRun run, string name, List<double> times, string yardstick, List<double> yardstickTimes, Target? target)
        => run.Add(new Row
        {
            Section = Section,
            Name = name,
            Unit = "ns",
            Value = Spread.Of(times),
            Yardstick = yardstick,
            YardstickValue = Spread.Of(yardstickTimes),
            Ratio = Spread.Of(times.Zip(yardstickTimes, (time, reference) => time / reference)),
            Target = target,
        });

    private static string Describe(ReleasedGraph graph) => string.Create(CultureInfo.InvariantCulture, $"{graph.Objects:#,0} objects in a graph, {graph.Ioases:#,0} IOASes");

    private static double ReleaseTables(Func<ObjectTable> fill)
    {
        ObjectTable[] tables = [.. Enumerable.Range(0, TablesAtOnce).Select(_ => fill())];
        var objects = tables.Sum(table => table.Count);
        GC.Collect();
        var start = Stopwatch.GetTimestamp();
        var destroyed = tables.Sum(table => table.Release().Destroyed.Count);
        var elapsed = Stopwatch.GetElapsedTime(start);
        return destroyed == objects
            ? elapsed.TotalNanoseconds / objects
            : throw new InvalidOperationException($"A release destroyed {destroyed} objects, not {objects}.");
    }

    private static async Task<double> CloseGraphAsync(BenchRun run, ReleasedGraph graph)
    {
        var filled = await FilledContext.OpenAsync(run);
        await filled.AllocateAsync(graph.Ioases);
        await filled.AttachMocksAsync(graph.DevicesEach);
        return await MeasureCloseAsync(filled, graph.Objects);
    }

    private static async Task<double> CloseAsync(BenchRun run, int objects, int activated)
    {
        var filled = await FilledContext.OpenAsync(run);
        await filled.AllocateAsync(objects);
        await filled.ActivateAsync(activated);
        return await MeasureCloseAsync(filled, objects);
    }

    private static Task<double> MeasureCloseAsync(FilledContext filled, int objects)
        => MeasureAsync(objects, async () =>
        {
            var report = await filled.Context.CloseAsync();
            if (report?.Destroyed != objects)
            {
                throw new InvalidOperationException($"A release destroyed {report?.Destroyed} objects, not {objects}.");
            }
        });

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

    // Alternates between the measures, like all sections. The first repetition warms up.
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
