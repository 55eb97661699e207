using IommuFd.GrainInterfaces;
using Microsoft.Extensions.Logging;

namespace IommuFd.Silo.Dashboard.Feed;

// All viewers of the overview share one loop. It runs while there is a viewer, and makes no call otherwise.

/// <summary>Polls the cluster once a second while the overview has a viewer.</summary>
internal sealed class DashboardFeed(IGrainFactory grains, TimeProvider time, ILogger<DashboardFeed> logger) : IDisposable
{
    public static readonly TimeSpan Interval = TimeSpan.FromSeconds(1);

    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(5);

    private readonly Lock _lock = new();
    private readonly ClusterHistory _history = new();
    private readonly List<Func<Task>> _viewers = [];
    private CancellationTokenSource? _stop;
    private int _asked;

    /// <summary>The latest view of the cluster; null before the first.</summary>
    public ClusterView? Latest { get; private set; }

    /// <summary>Why the latest request failed; null if it did not.</summary>
    public string? Problem { get; private set; }

    /// <summary>How often the cluster was asked.</summary>
    public int Asked => Volatile.Read(ref _asked);

    /// <summary>Whether there is a viewer.</summary>
    public bool IsAsking
    {
        get
        {
            lock (_lock)
            {
                return _stop is not null;
            }
        }
    }

    /// <summary>Adds a viewer, until the result is disposed.</summary>
    /// <param name="onNews">Called after each request of the cluster. Must not block.</param>
    public IDisposable Subscribe(Func<Task> onNews)
    {
        lock (_lock)
        {
            _viewers.Add(onNews);
            if (_stop is null)
            {
                _stop = new CancellationTokenSource();
                _ = RunAsync(_stop.Token);
            }
        }

        return new Subscription(this, onNews);
    }

    public void Dispose()
    {
        lock (_lock)
        {
            Stop();
        }
    }

    private async Task RunAsync(CancellationToken stop)
    {
        // Returns to the first viewer at once.
        await Task.Yield();
        using var timer = new PeriodicTimer(Interval, time);
        do
        {
            await AskAsync(stop);
            Func<Task>[] viewers;
            lock (_lock)
            {
                if (stop.IsCancellationRequested)
                {
                    return;
                }

                viewers = [.. _viewers];
            }

            foreach (var viewer in viewers)
            {
                _ = viewer();
            }
        }
        while (await WaitAsync(timer, stop));
    }

    private async Task AskAsync(CancellationToken stop)
    {
        try
        {
            Interlocked.Increment(ref _asked);
            var overview = await grains.GetGrain<IMonitorGrain>(0).OverviewAsync(new OverviewRequest(_history.After)).WaitAsync(Patience, time, stop);
            Latest = _history.Add(overview);
            Problem = null;
        }
        catch (OperationCanceledException) when (stop.IsCancellationRequested)
        {
        }
        catch (Exception exception) when (exception is not OutOfMemoryException)
        {
            Problem = exception.Message;
            logger.ClusterSilent(exception.Message);
        }
    }

    private static async Task<bool> WaitAsync(PeriodicTimer timer, CancellationToken stop)
    {
        try
        {
            return await timer.WaitForNextTickAsync(stop);
        }
        catch (OperationCanceledException)
        {
            return false;
        }
    }

    private void Leave(Func<Task> viewer)
    {
        lock (_lock)
        {
            _viewers.Remove(viewer);
            if (_viewers.Count == 0)
            {
                Stop();
            }
        }
    }

    private void Stop()
    {
        _stop?.Cancel();
        _stop?.Dispose();
        _stop = null;
    }

    private sealed class Subscription(DashboardFeed feed, Func<Task> viewer) : IDisposable
    {
        private bool _left;

        public void Dispose()
        {
            if (!Interlocked.Exchange(ref _left, true))
            {
                feed.Leave(viewer);
            }
        }
    }
}
