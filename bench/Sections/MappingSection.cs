using System.Diagnostics;
using System.Globalization;
using IommuFd.Bench.Harness;
using IommuFd.GrainInterfaces;
using IommuFd.Grains.IoPagetable;

namespace IommuFd.Bench.Sections;

/// <summary>Mappings: against two hops, in batches, in IOASes with few and very many areas, and in the pure model alone.</summary>
internal static class MappingSection
{
    private const string Section = "mapping";
    private const int BatchSize = 64;
    private const string UnmapMap = "IOAS_UNMAP, IOAS_MAP";
    private const string ModelPairs = "model alone: unmap, map pairs among 1,000 areas, one core";
    private const string ModelBytes = "model alone: bytes for an area among 1,000,000";

    // Vector code is slow until the JIT has optimized it, which takes a while on a busy machine.
    private static readonly TimeSpan ModelWarmUp = TimeSpan.FromSeconds(3);

    private static readonly int[] Sizes = [10, 1_000, 1_000_000];
    private static readonly Target AtMostTwice = Target.RatioAtLeast(0.5);

    public static async Task RunAsync(BenchRun run)
    {
        RunModel(run);
        if (!run.Options.Selects(Section, UnmapMap))
        {
            return;
        }

        var filled = new List<FilledIoas>();
        foreach (var areas in Sizes)
        {
            filled.Add(await FilledIoas.OpenAsync(run, areas));
        }

        await using (var set = await ContextSet.OpenAsync(run, contexts: 1, callers: 1))
        {
            await run.CompareAsync(Section, set.TwoHops(bytes: 40), (Load(UnmapMap, filled[0], ioas => ioas.UnmapMapAsync()), Target.RatioAtLeast(0.8)));
        }

        var batch = filled[0].UnmapMapBatch(BatchSize / 2);
        await run.CompareAsync(
            Section,
            Load(UnmapMap, filled[0], ioas => ioas.UnmapMapAsync()),
            (new Load<IoctlBatchReply>(
                $"{BatchSize / 2} {UnmapMap} in a batch", 1, BatchSize, _ => filled[0].RunAsync(batch), reply => reply.Replies.All(each => each.Errno == 0)),
                Target.RatioAtLeast(5)));
        await CompareSizesAsync(run, filled, UnmapMap, ioas => ioas.UnmapMapAsync());
        await CompareSizesAsync(run, filled, "IOAS_COPY, IOAS_UNMAP", ioas => ioas.CopyUnmapAsync());
        await CompareSizesAsync(run, filled, "IOAS_MAP at an automatic IOVA, IOAS_UNMAP", ioas => ioas.MapAnywhereUnmapAsync());
        foreach (var ioas in filled)
        {
            await ioas.CloseAsync();
        }
    }

    private static Task CompareSizesAsync(BenchRun run, List<FilledIoas> filled, string name, Func<FilledIoas, ValueTask<bool>> pair)
        => run.CompareAsync(
            Section,
            Load(Among(name, filled[0]), filled[0], pair),
            [.. filled.Skip(1).Select(ioas => (Load(Among(name, ioas), ioas, pair), (Target?)AtMostTwice))]);

    private static string Among(string name, FilledIoas ioas) => string.Create(CultureInfo.InvariantCulture, $"{name}, among {ioas.Areas:#,0} areas");

    private static Load<bool> Load(string name, FilledIoas ioas, Func<FilledIoas, ValueTask<bool>> pair)
        => new Load<bool>(name, callers: 1, operations: 2, _ => pair(ioas), done => done);

    private static void RunModel(BenchRun run)
    {
        if (run.Options.Selects(Section, ModelPairs))
        {
            var table = Fill(1_000);
            PairsPerSecond(table, ModelWarmUp);
            run.Add(new Row
            {
                Section = Section,
                Name = ModelPairs,
                Unit = "op/s",
                Value = Spread.Of(Enumerable.Range(0, run.Options.Rounds).Select(_ => PairsPerSecond(table, run.Options.Round))),
                Target = Target.ValueAtLeast(1_000_000),
            });
        }

        if (run.Options.Selects(Section, ModelBytes))
        {
            const int Areas = 1_000_000;
            var before = GC.GetTotalMemory(forceFullCollection: true);
            var table = Fill(Areas);
            var bytes = (GC.GetTotalMemory(forceFullCollection: true) - before) / (double)Areas;
            GC.KeepAlive(table);
            run.Add(new Row { Section = Section, Name = ModelBytes, Unit = "B", Value = Spread.Of([bytes]), Target = Target.ValueAtMost(200) });
        }
    }

    private static IoptTable Fill(int areas)
    {
        var table = new IoptTable();
        for (var i = 0; i < areas; i++)
        {
            Map(table, (ulong)i);
        }

        return table;
    }

    private static double PairsPerSecond(IoptTable table, TimeSpan duration)
    {
        const int PairsBetweenLooks = 1_000;
        var areas = (ulong)table.AreaCount;
        var start = Stopwatch.GetTimestamp();
        long pairs = 0;
        ulong area = 0;
        do
        {
            for (var i = 0; i < PairsBetweenLooks; i++)
            {
                area = (area + 619) % areas;
                table.Unmap(IovaOf(area), FilledIoas.Page, out _);
                Map(table, area);
            }

            pairs += PairsBetweenLooks;
        }
        while (Stopwatch.GetElapsedTime(start) < duration);

        return pairs / Stopwatch.GetElapsedTime(start).TotalSeconds;
    }

    private static ulong IovaOf(ulong area) => (area + 1) * 2 * FilledIoas.Page;

    // Each area gets its own pages, as with a program's map calls.
    private static void Map(IoptTable table, ulong area)
    {
        var address = 0x7000_0000_0000 + (area * FilledIoas.Page);
        PagesFactory.OfUser(default, address, FilledIoas.Page, FilledIoas.Page, writable: true, out var pages);
        table.Map([new PagesSlice(pages!, 0, FilledIoas.Page)], IommuProt.Read | IommuProt.Write, IovaOf(area), out _);
    }
}
