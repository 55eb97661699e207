using IommuFd.Bench.Harness;
using IommuFd.Bench.Yardsticks;

namespace IommuFd.Bench.Sections;

/// <summary>
/// Trivial activations by the thousand, with new keys each time: the silo remembers for a while where an ended activation was, so
/// reactivating one costs less than a new one.
/// </summary>
internal sealed class Activations(BenchRun run, int count)
{
    // Small enough to finish within a call's response timeout.
    private const int AtOnce = 10_000;

    private static long s_lastKey;

    private readonly long _first = Interlocked.Add(ref s_lastKey, count) - count + 1;
    private readonly IRelayGrain _relay = run.Grains.GetGrain<IRelayGrain>(0);

    public Task ActivateAsync() => InPartsAsync(_relay.ActivateManyAsync);

    public Task EndAsync() => InPartsAsync(_relay.EndManyAsync);

    /// <summary>Waits until all deactivations are done: an activation that is told to end does so after it has answered.</summary>
    public static async Task SettleAsync(BenchRun run)
    {
        var management = run.Grains.GetGrain<IManagementGrain>(0);
        var (count, previous) = (-1, -2);
        while (count != previous)
        {
            previous = count;
            await Task.Delay(TimeSpan.FromMilliseconds(100));
            count = await management.GetTotalActivationCount();
        }
    }

    private async Task InPartsAsync(Func<long, int, ValueTask> action)
    {
        for (var done = 0; done < count; done += AtOnce)
        {
            await action(_first + done, Math.Min(AtOnce, count - done));
        }
    }
}
