using IommuFd.Client;
using IommuFd.GrainInterfaces;
using IommuFd.Uapi;

namespace IommuFd.Bench.Sections;

/// <summary>
/// A viewer of the cluster and of one context, like the dashboard and <c>iommufd top</c>: once a second it asks for what is new.
/// </summary>
internal sealed class Viewer : IDisposable
{
    private static readonly TimeSpan Period = TimeSpan.FromSeconds(1);

    private readonly CancellationTokenSource _stop = new();
    private readonly Task _looking;

    public Viewer(IGrainFactory grains, ContextHandle context) => _looking = Task.Run(() => LookAsync(grains, context));

    public void Dispose()
    {
        _stop.Cancel();
        _looking.GetAwaiter().GetResult();
        _stop.Dispose();
    }

    private async Task LookAsync(IGrainFactory grains, ContextHandle handle)
    {
        var (monitor, context) = (grains.GetGrain<IMonitorGrain>(0), new GrainChannel(grains).Find(handle));
        var (second, tail) = (0L, new TailRequest(-1, 0, TailRequest.MaxLimit));
        using var timer = new PeriodicTimer(Period);
        try
        {
            do
            {
                var overview = await monitor.OverviewAsync(new OverviewRequest(second));
                second = overview.Now - 2;
                var ioctls = await context.TailAsync(tail);
                if (ioctls.Errno != Errno.None)
                {
                    throw new InvalidOperationException($"The viewer's context answered {ioctls.Errno}.");
                }

                tail = tail with { After = ioctls.Last, Activation = ioctls.Activation };
            }
            while (await timer.WaitForNextTickAsync(_stop.Token));
        }
        catch (OperationCanceledException)
        {
        }
    }
}
