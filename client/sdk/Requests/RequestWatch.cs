namespace IommuFd.Client;

// A timer for each request would slow down every ioctl. Instead one timer checks several times in each AttemptTimeout, and only the sessions that had a request under way
// since the last check. A session enters the list with its first request and leaves it when it is found idle, so that a busy session touches the list once per check, and an
// idle client runs no timer.

/// <summary>Finds requests whose first attempt has timed out, or went before the ways to silos changed.</summary>
internal sealed class RequestWatch
{
    /// <summary>How many checks there are in an AttemptTimeout. A timeout is found late by one check at most.</summary>
    public const int LooksPerTimeout = 4;

    private readonly Lock _lock = new();
    private readonly ITimer _timer;
    private readonly RouteChanges _routes;
    private List<Session> _watched = [];
    private bool _isRunning;
    private int _now;
    private int _routesSeen;

    public RequestWatch(IommufdClientOptions options, RouteChanges routes)
    {
        _routes = routes;
        Period = options.AttemptTimeout / LooksPerTimeout;
        _timer = Timers.Create(options.TimeProvider, static watch => watch.Look(), this);
    }

    /// <summary>The time between two checks.</summary>
    public TimeSpan Period { get; }

    /// <summary>How many checks there were: the watch's clock.</summary>
    public int Now => Volatile.Read(ref _now);

    /// <summary>Watches a session until it is idle.</summary>
    public void Add(Session session)
    {
        lock (_lock)
        {
            _watched.Add(session);
            RunWhileNeeded();
        }
    }

    private void Look()
    {
        var now = Interlocked.Increment(ref _now);
        var routes = _routes.Count;
        var haveRoutesChanged = routes != Interlocked.Exchange(ref _routesSeen, routes);
        List<Session> watched;
        lock (_lock)
        {
            (watched, _watched) = (_watched, []);
        }

        List<SessionRequest> overdue = [];
        watched.RemoveAll(session => !session.FindOverdue(now, haveRoutesChanged ? 1 : LooksPerTimeout, overdue));
        lock (_lock)
        {
            _watched.AddRange(watched);
            RunWhileNeeded();
        }

        overdue.ForEach(request => request.OnOverdue());
    }

    private void RunWhileNeeded()
    {
        var isNeeded = _watched.Count > 0;
        if (isNeeded != _isRunning)
        {
            var period = isNeeded ? Period : Timeout.InfiniteTimeSpan;
            _timer.Change(period, period);
            _isRunning = isNeeded;
        }
    }
}

/// <summary>The SDK's timers.</summary>
internal static class Timers
{
    /// <summary>Makes a timer that does not run yet. Its callback does not inherit the execution context of the caller that starts it.</summary>
    public static ITimer Create<T>(TimeProvider time, Action<T> callback, T state)
        where T : class
    {
        using var flow = ExecutionContext.IsFlowSuppressed() ? default(AsyncFlowControl?) : ExecutionContext.SuppressFlow();
        return time.CreateTimer(_ => callback(state), null, Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
    }
}
