using IommuFd.GrainInterfaces;
using IommuFd.Uapi;
using Spectre.Console;
using Spectre.Console.Rendering;

namespace IommuFd.Cli;

/// <summary>Shows a cluster as <c>top</c> shows a machine.</summary>
internal static class TopView
{
    private const int ShownContexts = 10;

    // Rates cover the last seconds, times the last minute, since few turns are timed.
    private const int RateSeconds = 5;
    private const int TimeSeconds = 60;

    public static IRenderable Render(TopLook now, TopLook? before) => new Rows(
        new Text(Summarize(now.Overview)),
        Silos(now.Overview),
        new Text(Errors(now.Overview)),
        Contexts(now, before));

    private static string Summarize(ClusterOverview overview)
    {
        var active = overview.Silos.Where(silo => silo.Answered).ToList();
        var objects = active.SelectMany(silo => silo.Objects).GroupBy(count => count.Type, count => count.Count).Select(counts => (Type: counts.Key, Count: counts.Sum()));
        var kinds = string.Join(", ", objects.Where(kind => kind.Count > 0).Select(kind => $"{kind.Type.Label()} {Format.Count(kind.Count)}"));
        return $"{Format.Count(active.Count, "silo")}, {Format.Count(active.Sum(silo => silo.Contexts), "context")} ({Format.Count(active.Sum(silo => silo.DurableContexts))} durable), "
            + $"{active.Sum(silo => Rate(overview, silo)):N0} ioctls/s{(kinds.Length == 0 ? "" : $"; objects: {kinds}")}";
    }

    private static Table Silos(ClusterOverview overview)
    {
        var table = Table("silo", "state", "contexts", "ioctls/s", "p50", "p99", "errors/s");
        foreach (var silo in overview.Silos)
        {
            var times = TurnTimes(overview, silo);
            string[] figures = silo.Answered
                ?
                [
                    Format.Count(silo.Contexts), $"{Rate(overview, silo):N0}", Format.Duration(TurnTimeBuckets.Quantile(times, 0.5)), Format.Duration(TurnTimeBuckets.Quantile(times, 0.99)),
                    $"{Seconds(overview, silo, RateSeconds).Sum(sample => sample.Errors) / (double)RateSeconds:N0}",
                ]
                : [.. Enumerable.Repeat(Format.Missing, 5)];
            table.AddRow([Terminal.Cell(Format.Endpoint(silo.Address)), Terminal.Cell(Format.State(silo)), .. figures]);
        }

        return table;
    }

    private static string Errors(ClusterOverview overview)
    {
        var errors = overview.Silos.SelectMany(silo => silo.Ioctls).Where(count => count.Errno != Errno.None)
            .GroupBy(count => count.Errno, count => count.Count).Select(counts => (Errno: counts.Key, Count: counts.Sum())).OrderByDescending(error => error.Count).Take(8).ToList();
        return errors.Count == 0 ? "no ioctl has failed" : $"failed since the silos started: {string.Join(", ", errors.Select(error => $"{error.Errno} {Format.Count(error.Count)}"))}";
    }

    private static Table Contexts(TopLook now, TopLook? before)
    {
        var seconds = before is null ? 0 : TimeProvider.System.GetElapsedTime(before.TimeStamp, now.TimeStamp).TotalSeconds;
        var earlier = before?.Contexts.Contexts.ToDictionary(context => (context.Tag, context.Silo), context => context.Ioctls) ?? [];
        var table = Table("context", "opener", "programs", "silo", "objects", "ioctls/s", "ioctls");
        var rows = now.Contexts.Contexts
            .Select(context => (Context: context, Rate: seconds > 0 && earlier.TryGetValue((context.Tag, context.Silo), out var count) ? (context.Ioctls - count) / seconds : (double?)null))
            .OrderByDescending(row => row.Rate ?? 0).ThenByDescending(row => row.Context.Ioctls).Take(ShownContexts);
        foreach (var (context, rate) in rows)
        {
            table.AddRow(
                $"{context.Tag}", Terminal.Cell(context.Opener), Terminal.Cell(Format.Programs(context.Programs)), Terminal.Cell(Format.Endpoint(context.Silo)), Format.Count(context.Objects),
                rate is { } perSecond ? $"{perSecond:N0}" : Format.Missing, Format.Count(context.Ioctls));
        }

        return table;
    }

    private static double Rate(ClusterOverview overview, SiloOverview silo) => Seconds(overview, silo, RateSeconds).Sum(sample => sample.Ioctls) / (double)RateSeconds;

    private static long[] TurnTimes(ClusterOverview overview, SiloOverview silo)
    {
        var sum = new long[TurnTimeBuckets.Count];
        foreach (var sample in Seconds(overview, silo, TimeSeconds))
        {
            for (var i = 0; i < Math.Min(sum.Length, sample.TurnTimes.Length); i++)
            {
                sum[i] += sample.TurnTimes[i];
            }
        }

        return sum;
    }

    private static IEnumerable<ActivitySample> Seconds(ClusterOverview overview, SiloOverview silo, int seconds)
        => silo.Activity.Where(sample => sample.Second >= overview.Now - seconds);

    private static Table Table(params string[] columns)
    {
        var table = new Table().Border(TableBorder.Simple);
        foreach (var column in columns)
        {
            // People copy addresses: where room is short, other columns wrap.
            table.AddColumn(new TableColumn(column) { NoWrap = column == "silo" });
        }

        return table;
    }
}
