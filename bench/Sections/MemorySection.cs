using IommuFd.Bench.Harness;

namespace IommuFd.Bench.Sections;

// The managed heap before and after, divided by the number of objects. The silo's own directories grow by doubling and never shrink, so
// they are grown once before anything is measured, at no side's cost.

/// <summary>The memory of an idle object.</summary>
internal static class MemorySection
{
    private const string Section = "memory";
    private const string Unused = "IOAS never used";
    private const string Used = "IOAS used";

    // Bytes hardly differ between repetitions.
    private const int Repetitions = 2;

    public static async Task RunAsync(BenchRun run)
    {
        if (!run.Options.Selects(Section, Unused) && !run.Options.Selects(Section, Used))
        {
            return;
        }

        var count = run.Options.IdleActivations;
        await MeasureTrivialAsync(run, count);
        List<double> trivials = [], unuseds = [], useds = [];
        for (var i = 0; i < Repetitions; i++)
        {
            trivials.Add(await MeasureTrivialAsync(run, count));
            var (unused, used) = await MeasureIoasesAsync(run, count);
            unuseds.Add(unused);
            useds.Add(used);
        }

        Add(Unused, unuseds);
        Add(Used, useds);

        void Add(string name, List<double> values) => run.Add(new Row
        {
            Section = Section,
            Name = name,
            Unit = "B",
            Value = Spread.Of(values),
            Yardstick = "idle trivial activation",
            YardstickValue = Spread.Of(trivials),
            Ratio = Spread.Of(values.Zip(trivials, (value, trivial) => value / trivial)),
            Target = Target.RatioAtMost(0.5),
        });
    }

    private static async Task<double> MeasureTrivialAsync(BenchRun run, int count)
    {
        var before = await HeapAsync(run);
        var trivials = new Activations(run, count);
        await trivials.ActivateAsync();
        var after = await HeapAsync(run);
        await trivials.EndAsync();
        return (after - before) / (double)count;
    }

    private static async Task<(double Unused, double Used)> MeasureIoasesAsync(BenchRun run, int count)
    {
        var context = await FilledContext.OpenAsync(run);
        var before = await HeapAsync(run);
        await context.AllocateAsync(count);
        var unused = await HeapAsync(run);
        await context.ActivateAsync(count);
        var used = await HeapAsync(run);
        await context.Context.CloseAsync();
        return ((unused - before) / (double)count, (used - before) / (double)count);
    }

    private static async Task<long> HeapAsync(BenchRun run)
    {
        await Activations.SettleAsync(run);
        GC.Collect();
        GC.WaitForPendingFinalizers();
        GC.Collect(GC.MaxGeneration, GCCollectionMode.Forced, blocking: true, compacting: true);
        return GC.GetTotalMemory(forceFullCollection: true);
    }
}
