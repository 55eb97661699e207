using System.Diagnostics;

namespace IommuFd.Bench.Harness;

// Callers in closed loops: each has one call under way at any time. A tight loop of many callers would never let the thread pool reach its
// global queue, so each caller yields now and then. All loads run in this one loop, the yardsticks too, so its cost is on both sides of a ratio.

/// <summary>What a load did in one round.</summary>
/// <param name="PerSecond">Operations a second.</param>
/// <param name="AllocatedBytes">Managed bytes that the process allocated per operation.</param>
/// <param name="CpuNanoseconds">Processor time of the process per operation. Other processes disturb it far less than the rate.</param>
/// <param name="Median">Microseconds that half of the calls take at most.</param>
/// <param name="Late">Microseconds that 99 of 100 calls take at most.</param>
internal readonly record struct Rate(double PerSecond, double AllocatedBytes, double CpuNanoseconds, double Median, double Late);

/// <summary>Calls that a number of callers make for a while.</summary>
internal abstract class Load(string name)
{
    public string Name { get; } = name;

    /// <summary>Makes calls for at least this long.</summary>
    public abstract Task<Rate> RunAsync(TimeSpan duration);
}

/// <summary>A load of calls that return a <typeparamref name="TReply"/>.</summary>
/// <param name="name">What is called.</param>
/// <param name="callers">Callers, each with one call under way.</param>
/// <param name="operations">The number of operations that one call counts as.</param>
/// <param name="call">Makes one call for a caller.</param>
/// <param name="isExpected">Whether the reply is the one to measure; any other ends the run.</param>
internal sealed class Load<TReply>(string name, int callers, int operations, Func<int, ValueTask<TReply>> call, Predicate<TReply> isExpected) : Load(name)
{
    private const int CallsBetweenYields = 16;

    // Kept from round to round, so that a round measures no allocation of its own.
    private readonly List<double>[] _times = [.. Enumerable.Range(0, callers).Select(_ => new List<double>())];

    public override async Task<Rate> RunAsync(TimeSpan duration)
    {
        var (allocated, cpu) = (GC.GetTotalAllocatedBytes(), Environment.CpuUsage.TotalTime);
        var start = Stopwatch.GetTimestamp();
        Array.ForEach(_times, times => times.Clear());
        await Task.WhenAll(Enumerable.Range(0, callers).Select(caller => Task.Run(() => CallAsync(caller, start, duration))));
        var seconds = Stopwatch.GetElapsedTime(start).TotalSeconds;
        var (bytes, nanoseconds) = (GC.GetTotalAllocatedBytes() - allocated, (Environment.CpuUsage.TotalTime - cpu).TotalNanoseconds);
        double[] times = [.. _times.SelectMany(times => times).Order()];
        var done = (double)times.Length * CallsBetweenYields * operations;
        return new Rate(done / seconds, bytes / done, nanoseconds / done, times[times.Length / 2], times[(int)(times.Length * 0.99)]);
    }

    // The time of one call in sixteen, so that looking at the clock costs next to nothing.
    private async Task CallAsync(int caller, long start, TimeSpan duration)
    {
        var times = _times[caller];
        do
        {
            await Task.Yield();
            for (var i = 0; i < CallsBetweenYields; i++)
            {
                var began = i == CallsBetweenYields / 2 ? Stopwatch.GetTimestamp() : 0;
                var reply = await call(caller);
                if (began != 0)
                {
                    times.Add(Stopwatch.GetElapsedTime(began).TotalMicroseconds);
                }

                if (!isExpected(reply))
                {
                    throw new InvalidOperationException($"'{Name}' got a reply that is not the one to measure.");
                }
            }
        }
        while (Stopwatch.GetElapsedTime(start) < duration);
    }
}
