using System.Diagnostics;
using System.Runtime.CompilerServices;
using IommuFd.Bench.Harness;
using IommuFd.Client;
using IommuFd.GrainInterfaces;
using IommuFd.Grains.Telemetry;
using Microsoft.Extensions.DependencyInjection;

namespace IommuFd.Bench.Sections;

// All that telemetry adds to an ioctl that is neither traced nor timed, in one loop: the SDK's checks before it sends, and the context's
// checks before its turn. The loop stays on one core, so its least time can be measured on any machine, unlike differences of a few
// hundredths in the rate of ioctls. Each side's checks run as in production: the SDK's in an execution context with something in it, as a
// program has, the grain's in an empty one.

/// <summary>The cost of checking whether an ioctl is traced or timed.</summary>
internal static class TelemetryHooks
{
    private const int Ioctls = 1_000_000;

    // Three hundredths of the two microseconds that an ioctl takes in the silo's process.
    private static readonly Target OfIoctl = Target.ValueAtMost(60);

    private static readonly AsyncLocal<object?> Something = new();

    public static void Run(BenchRun run)
    {
        if (!run.Options.Selects("telemetry, checks", "checks of one ioctl"))
        {
            return;
        }

        using var meters = new ServiceCollection().AddMetrics().BuildServiceProvider();
        var telemetry = ActivatorUtilities.CreateInstance<TurnTelemetry>(meters);
        Add(run, "checks of one ioctl, off", telemetry);
        using (TelemetrySession.Start())
        {
            Add(run, "checks of one ioctl, metrics and traces", telemetry, OfIoctl);
        }
    }

    private static void Add(BenchRun run, string name, TurnTelemetry telemetry, Target? target = null)
    {
        var times = new List<double>();
        for (var round = 0; round < 2 * run.Options.Rounds; round++)
        {
            Something.Value = null;
            var begun = Stopwatch.GetTimestamp();
            var asked = AskTurns(telemetry);
            Something.Value = times;
            asked += AskCalls();
            times.Add(Stopwatch.GetElapsedTime(begun).TotalNanoseconds / Ioctls);
            GC.KeepAlive(asked);
        }

        // The machine's other work only adds to a time: the least is what the code takes.
        var least = times.Min();
        run.Add(new Row { Section = "telemetry, checks", Name = name, Unit = "ns", Value = new Spread(least, least, times.Max()), Target = target });
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static int AskCalls()
    {
        var marked = 0;
        for (var i = 0; i < Ioctls; i++)
        {
            marked += TracedCalls.IsWanted || CallHeaders.IsTimed() ? 1 : 0;
        }

        return marked;
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static int AskTurns(TurnTelemetry telemetry)
    {
        var traced = 0;
        for (var i = 0; i < Ioctls; i++)
        {
            traced += TurnSpans.IsWanted(telemetry, out _) ? 1 : 0;
            traced += CallHeaders.IsTraced ? 1 : 0;
        }

        return traced;
    }
}
