using IommuFd.GrainInterfaces;
using IommuFd.Uapi;

namespace IommuFd.Silo.Dashboard.Feed;

// Merges the reports of silos. A silo that leaves takes its contexts and objects with it, but not its past: its activity stays in the cluster's
// seconds until they are too old, and its ioctls stay in the cluster's counts.

/// <summary>The last minutes of a cluster, bounded in seconds and in silos.</summary>
internal sealed class ClusterHistory
{
    /// <summary>How many seconds are kept.</summary>
    public const int Window = 300;

    /// <summary>How many seconds the current figures cover.</summary>
    public const int Recent = 10;

    /// <summary>How many departed silos keep their past: the latest ones.</summary>
    private const int MaxDeparted = 64;

    private readonly Dictionary<string, SiloPast> _silos = [];

    private ClusterOverview _latest = new(0, []);

    /// <summary>The second after which to request activity. The last few seconds are requested again, as they may have been incomplete.</summary>
    public long After => Math.Max(0, _latest.Now - Recent);

    /// <summary>Adds a report of the cluster.</summary>
    public ClusterView Add(ClusterOverview overview)
    {
        _latest = overview;
        var oldest = overview.Now - Window;
        foreach (var silo in overview.Silos.Where(silo => silo.Answered))
        {
            if (!_silos.TryGetValue(silo.Address, out var past))
            {
                _silos.Add(silo.Address, past = new SiloPast());
            }

            past.Ioctls = silo.Ioctls;
            past.LastSeen = overview.Now;
            foreach (var sample in silo.Activity)
            {
                past.Seconds[sample.Second] = sample;
            }
        }

        foreach (var past in _silos.Values)
        {
            while (past.Seconds.Count > 0 && past.Seconds.GetKeyAtIndex(0) <= oldest)
            {
                past.Seconds.RemoveAt(0);
            }
        }

        foreach (var (address, _) in _silos.Where(silo => silo.Value.LastSeen < overview.Now).OrderByDescending(silo => silo.Value.LastSeen).Skip(MaxDeparted).ToList())
        {
            _silos.Remove(address);
        }

        return View();
    }

    private ClusterView View()
    {
        // The second that has just begun is not complete yet.
        var last = _latest.Now - 1;
        var seconds = new SecondView[Window];
        var times = new long[TurnTimeBuckets.Count];
        var recentTimes = new long[TurnTimeBuckets.Count];
        for (var i = 0; i < Window; i++)
        {
            Array.Clear(times);
            var second = last - Window + 1 + i;
            var (ioctls, errors) = (0L, 0L);
            foreach (var past in _silos.Values)
            {
                if (past.Seconds.TryGetValue(second, out var sample))
                {
                    ioctls += sample.Ioctls;
                    errors += sample.Errors;
                    Add(times, sample.TurnTimes);
                }
            }

            if (i >= Window - Recent)
            {
                Add(recentTimes, times);
            }

            seconds[i] = new SecondView(second, ioctls, errors, TurnTimeBuckets.Quantile(times, 0.5), TurnTimeBuckets.Quantile(times, 0.99));
        }

        return new ClusterView
        {
            Now = _latest.Now,
            Silos = [.. _latest.Silos.Select(silo => new SiloView(silo, RecentRate(silo.Address, last)))],
            Seconds = seconds,
            Rate = seconds[^Recent..].Average(second => (double)second.Ioctls),
            ErrorRate = seconds[^Recent..].Average(second => (double)second.Errors),
            Median = TurnTimeBuckets.Quantile(recentTimes, 0.5),
            P99 = TurnTimeBuckets.Quantile(recentTimes, 0.99),
            Contexts = _latest.Silos.Sum(silo => silo.Contexts),
            DurableContexts = _latest.Silos.Sum(silo => silo.DurableContexts),
            Objects =
            [
                .. _latest.Silos.SelectMany(silo => silo.Objects).GroupBy(count => count.Type, (type, counts) => new ObjectCount(type, counts.Sum(count => count.Count)))
                    .Where(count => count.Count > 0).OrderByDescending(count => count.Count).ThenBy(count => count.Type),
            ],
            Ioctls =
            [
                .. _silos.Values.SelectMany(past => past.Ioctls).GroupBy(count => (count.Command, count.Errno), (key, counts) => new IoctlCount(key.Command, key.Errno, counts.Sum(count => count.Count))),
            ],
        };
    }

    private double RecentRate(string address, long last)
        => _silos.TryGetValue(address, out var past) ? past.Seconds.Where(sample => sample.Key > last - Recent).Sum(sample => (double)sample.Value.Ioctls) / Recent : 0;

    private static void Add(long[] sums, long[] counts)
    {
        for (var i = 0; i < Math.Min(sums.Length, counts.Length); i++)
        {
            sums[i] += counts[i];
        }
    }

    private sealed class SiloPast
    {
        public SortedList<long, ActivitySample> Seconds { get; } = [];

        public IoctlCount[] Ioctls { get; set; } = [];

        public long LastSeen { get; set; }
    }
}

/// <summary>What the cluster did in one second.</summary>
public readonly record struct SecondView(long Second, long Ioctls, long Errors, TimeSpan? Median, TimeSpan? P99);

/// <summary>A silo, and how many ioctls a second it has answered lately.</summary>
public sealed record SiloView(SiloOverview Silo, double Rate);

/// <summary>The cluster, as the overview shows it.</summary>
public sealed class ClusterView
{
    /// <summary>When this was taken, in seconds of Unix time.</summary>
    public long Now { get; init; }

    public IReadOnlyList<SiloView> Silos { get; init; } = [];

    /// <summary>The last minutes, oldest first, a second each.</summary>
    public IReadOnlyList<SecondView> Seconds { get; init; } = [];

    /// <summary>Ioctls a second, lately.</summary>
    public double Rate { get; init; }

    /// <summary>Failed ioctls a second, lately.</summary>
    public double ErrorRate { get; init; }

    public TimeSpan? Median { get; init; }

    public TimeSpan? P99 { get; init; }

    public long Contexts { get; init; }

    public long DurableContexts { get; init; }

    public IReadOnlyList<ObjectCount> Objects { get; init; } = [];

    /// <summary>Ioctls since the silos started, including silos that have left.</summary>
    public IReadOnlyList<IoctlCount> Ioctls { get; init; } = [];

    /// <summary>Failed ioctls by errno, most frequent first.</summary>
    public IEnumerable<(Errno Errno, long Count)> Errors => Ioctls.Where(count => count.Errno != 0).GroupBy(count => count.Errno, (errno, counts) => (errno, counts.Sum(count => count.Count)))
        .OrderByDescending(error => error.Item2).ThenBy(error => error.errno);

    /// <summary>Ioctls by command, most frequent first, and how many of them failed.</summary>
    public IEnumerable<(uint Command, long Count, long Failed)> Commands => Ioctls.GroupBy(count => count.Command, (command, counts) =>
        {
            var all = counts.ToList();
            return (command, all.Sum(count => count.Count), all.Where(count => count.Errno != 0).Sum(count => count.Count));
        }).OrderByDescending(command => command.Item2).ThenBy(command => command.command);
}
