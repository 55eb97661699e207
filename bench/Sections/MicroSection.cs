using System.Collections.Immutable;
using System.Globalization;
using BenchmarkDotNet.Configs;
using BenchmarkDotNet.Diagnosers;
using BenchmarkDotNet.Filters;
using BenchmarkDotNet.Jobs;
using BenchmarkDotNet.Loggers;
using BenchmarkDotNet.Reports;
using BenchmarkDotNet.Running;
using BenchmarkDotNet.Toolchains.InProcess.Emit;
using IommuFd.Bench.Harness;
using IommuFd.Bench.Micro;
using Perfolizer.Horology;

namespace IommuFd.Bench.Sections;

/// <summary>Code that runs without Orleans, measured by BenchmarkDotNet in this process.</summary>
internal static class MicroSection
{
    private const string Section = "micro";

    public static void Run(BenchRun run)
    {
        foreach (var decode in Measure<DecodeBenchmarks>(run.Options))
        {
            run.Add(Row(decode) with { Target = Target.NoAllocation });
        }

        foreach (var record in Measure<RecordBenchmarks>(run.Options))
        {
            run.Add(Row(record) with { Target = Target.NoAllocation });
        }

        foreach (var sizes in Measure<ObjectTableBenchmarks>(run.Options).GroupBy(each => each.BenchmarkCase.Descriptor))
        {
            AddSizes(run, [.. sizes.OrderBy(Live)]);
        }
    }

    // Rounds of different sizes don't alternate here, so the ratio is that of the medians.
    private static void AddSizes(BenchRun run, BenchmarkReport[] sizes)
    {
        var fewest = Row(sizes[0]);
        foreach (var size in sizes)
        {
            var row = Row(size);
            var ratio = row.Value.Median / fewest.Value.Median;
            run.Add(row with
            {
                Name = string.Create(CultureInfo.InvariantCulture, $"{row.Name}, among {Live(size):#,0}"),
                Yardstick = size == sizes[0] ? null : string.Create(CultureInfo.InvariantCulture, $"among {Live(sizes[0])}"),
                YardstickValue = size == sizes[0] ? null : fewest.Value,
                Ratio = size == sizes[0] ? null : new Spread(ratio, ratio, ratio),
            });
        }
    }

    private static int Live(BenchmarkReport report) => (int)report.BenchmarkCase.Parameters[nameof(ObjectTableBenchmarks.Live)];

    private static Row Row(BenchmarkReport report)
    {
        var statistics = report.ResultStatistics!;
        return new Row
        {
            Section = Section,
            Name = report.BenchmarkCase.Descriptor.WorkloadMethodDisplayInfo.Trim('\''),
            Unit = "ns",
            Value = new Spread(statistics.Median, statistics.Min, statistics.Max),
            AllocatedBytes = report.GcStats.GetBytesAllocatedPerOperation(report.BenchmarkCase),
        };
    }

    private static ImmutableArray<BenchmarkReport> Measure<TBenchmarks>(BenchOptions options)
    {
        var job = Job.ShortRun
            .WithToolchain(InProcessEmitToolchain.DontLogOutput)
            .WithIterationTime(TimeInterval.FromMilliseconds(options.Round.TotalMilliseconds));
        var config = ManualConfig.CreateEmpty()
            .AddJob(job)
            .AddLogger(NullLogger.Instance)
            .AddDiagnoser(MemoryDiagnoser.Default)
            .AddFilter(new SimpleFilter(benchmark => options.Selects(Section, benchmark.Descriptor.WorkloadMethodDisplayInfo)))
            .WithOptions(ConfigOptions.DisableLogFile);
        return BenchmarkRunner.Run<TBenchmarks>(config).Reports;
    }
}
