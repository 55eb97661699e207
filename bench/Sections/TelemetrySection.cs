using IommuFd.Bench.Harness;
using IommuFd.Client;
using IommuFd.GrainInterfaces;
using IommuFd.Uapi;

namespace IommuFd.Bench.Sections;

// The cost of being watched. Each load runs alternately with telemetry off, which is the yardstick, and on: subscribed as the silo
// subscribes, with its default sampling, and exported to nowhere. Telemetry is switched within the process, so both sides have the same
// contexts, code and heap. The differences are a few hundredths, hence the many rounds.
//
// Throughput is what is promised. On a busy machine it is a poor measure of so small a difference; the processor time per ioctl beside it
// is a good one.
//
// Loads on the grain show the silo's part alone, in the largest proportion; loads through the SDK also show the client's.

/// <summary>Ioctls with telemetry on, and with a viewer, against the same ioctls without.</summary>
internal static class TelemetrySection
{
    private static readonly Target OfOff = Target.RatioAtLeast(0.97);
    private static readonly Target OfNoViewer = Target.RatioAtLeast(0.9);

    private static readonly ObjectId Missing = new(1_000_000_000);

    private static readonly ObjectId Existing = new(1);

    public static async Task RunAsync(BenchRun run)
    {
        TelemetryHooks.Run(run);
        foreach (var (contexts, callers) in new[] { (1, 1), (100, 100) })
        {
            await using var set = await ContextSet.OpenAsync(run, contexts, callers);
            var section = $"telemetry, {contexts} context{(contexts == 1 ? "" : "s")}, {callers} caller{(callers == 1 ? "" : "s")}";
            foreach (var load in Loads(set))
            {
                await CompareTelemetryAsync(run, section, load);
            }

            await CompareViewerAsync(run, section, set);
        }
    }

    private static IEnumerable<Load> Loads(ContextSet set) =>
    [
        set.Ioctl("DESTROY of a missing id", Ioctls.Destroy(Missing), Errno.ENOENT),
        set.Load("DESTROY of a missing id, SDK", 1, SdkDestroyMissingAsync, result => result.Errno == Errno.ENOENT),
        set.Ioctl("OPTION HUGE_PAGES get", Ioctls.HugePages(Existing, IommuOptionOp.Get)),
        set.Load("OPTION HUGE_PAGES get, SDK", 1, target => target.Context.GetHugePagesAsync(Existing), enabled => enabled),
    ];

    private static Task CompareTelemetryAsync(BenchRun run, string section, Load load)
        => run.CompareAsync(
            section,
            run.Options.IsQuick ? new Pace(15, TimeSpan.FromMilliseconds(40), AddsCpu: true) : new Pace(61, TimeSpan.FromMilliseconds(150), AddsCpu: true),
            new WatchedLoad("off", load, static () => null),
            (new WatchedLoad($"{load.Name}, off again", load, static () => null), null),
            (new WatchedLoad($"{load.Name}, metrics", load, static () => TelemetrySession.Start(traces: false)), null),
            (new WatchedLoad($"{load.Name}, traces", load, static () => TelemetrySession.Start(metrics: false)), null),
            (new WatchedLoad($"{load.Name}, metrics and traces", load, static () => TelemetrySession.Start()), OfOff),
            (new WatchedLoad($"{load.Name}, Orleans' metrics too", load, static () => TelemetrySession.Start(orleans: true)), null));

    // A viewer asks once a second, so rounds must be as long.
    private static async Task CompareViewerAsync(BenchRun run, string section, ContextSet set)
    {
        var load = set.Ioctl("DESTROY of a missing id", Ioctls.Destroy(Missing), Errno.ENOENT);
        var handle = set.First.Handle;
        await run.CompareAsync(
            section,
            run.Options.IsQuick ? new Pace(3, TimeSpan.FromSeconds(1), AddsCpu: true) : new Pace(15, TimeSpan.FromSeconds(2), AddsCpu: true),
            new WatchedLoad("off, no viewer", load, static () => null),
            (new WatchedLoad($"{load.Name}, one viewer", load, () => new Viewer(run.Grains, handle)), OfNoViewer),
            (new WatchedLoad($"{load.Name}, telemetry and one viewer", load, () => new Both(TelemetrySession.Start(), new Viewer(run.Grains, handle))), OfNoViewer));
    }

    private static ValueTask<IoctlResult> SdkDestroyMissingAsync(CallTarget target)
        => target.Context.IoctlAsync(IommuCommand.Destroy, new IommuDestroy { Id = Missing.Value });

    /// <summary>A load that runs while it is watched.</summary>
    private sealed class WatchedLoad(string name, Load load, Func<IDisposable?> watch) : Load(name)
    {
        // The first calls after the switch find cold code and caches.
        private static readonly TimeSpan Settling = TimeSpan.FromMilliseconds(20);

        public override async Task<Rate> RunAsync(TimeSpan duration)
        {
            using (watch())
            {
                // Collects the megabytes that subscribing allocated, so that the round does not.
                GC.Collect();
                await load.RunAsync(Settling);
                return await load.RunAsync(duration);
            }
        }
    }

    private sealed class Both(IDisposable one, IDisposable other) : IDisposable
    {
        public void Dispose()
        {
            other.Dispose();
            one.Dispose();
        }
    }
}
