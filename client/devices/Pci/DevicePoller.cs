namespace IommuFd.Devices.Pci;

// A store to a mapped BAR traps nobody, so the device looks. After each find it looks again at once for a while, since programs that store once store again; then it
// pauses, a little longer each time it finds nothing, up to a bound that a program's wait for a ready bit does not notice.

/// <summary>Has a function look for stores to its mapped BARs, while there is somebody who may store.</summary>
public sealed class DevicePoller : IAsyncDisposable
{
    private static readonly TimeSpan Spin = TimeSpan.FromMicroseconds(200);
    private static readonly TimeSpan FirstPause = TimeSpan.FromMilliseconds(1);
    private static readonly TimeSpan LongestPause = TimeSpan.FromMilliseconds(4);

    private readonly CancellationTokenSource _stop = new();
    private readonly Task _running;

    /// <summary>Starts looking.</summary>
    /// <param name="function">The function.</param>
    /// <param name="time">The clock; null for the system's.</param>
    public DevicePoller(PciFunction function, TimeProvider? time = null)
    {
        ArgumentNullException.ThrowIfNull(function);
        _running = Task.Run(() => RunAsync(function, time ?? TimeProvider.System, _stop.Token));
    }

    /// <summary>Stops looking.</summary>
    /// <returns>Completes when it has ended.</returns>
    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync();
        await _running;
        _stop.Dispose();
    }

    private static async Task RunAsync(PciFunction function, TimeProvider time, CancellationToken stop)
    {
        var (found, pause) = (time.GetTimestamp(), FirstPause);
        while (!stop.IsCancellationRequested)
        {
            if (await function.Loop.RunAsync(function.Poll))
            {
                (found, pause) = (time.GetTimestamp(), FirstPause);
            }
            else if (time.GetElapsedTime(found) >= Spin)
            {
                await Task.Delay(pause, time, stop).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
                pause = pause < LongestPause ? pause * 2 : pause;
            }
        }
    }
}
