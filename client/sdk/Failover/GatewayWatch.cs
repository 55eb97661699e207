using Microsoft.AspNetCore.Connections;

namespace IommuFd.Client;

// Orleans sends all calls of a grain by one gateway, and leaves that gateway when its connection ends or the membership no longer has it. A silo that hangs keeps its connections,
// and the membership has it until others have voted it dead: until then, even repeats go to a gateway from which nothing comes.
//
// So while nothing comes from a gateway, all gateways are asked for a sign of life, which the silo itself gives. The connection to one that gives none is aborted if another
// one has given a sign meanwhile. Otherwise it may be this process or the whole cluster that is slow, and there is nothing better to go to. A connection that has yet to be opened
// is treated in the same way, so that an attempt to return to the gateway ends as soon.

/// <summary>Watches the connections of an Orleans client, and aborts those to gateways that have become silent.</summary>
/// <param name="ask">Asks a gateway for a sign of life, and the next time another one: they go round.</param>
/// <param name="time">The clock.</param>
internal sealed class GatewayWatch(Func<Task> ask, TimeProvider time) : IDisposable
{
    /// <summary>The time between two looks.</summary>
    public static readonly TimeSpan Interval = TimeSpan.FromMilliseconds(250);

    /// <summary>How long a gateway may be silent.</summary>
    public static readonly TimeSpan Patience = TimeSpan.FromMilliseconds(750);

    private readonly Lock _lock = new();
    private readonly List<WatchedTransport> _connections = [];
    private ITimer? _timer;

    /// <summary>The step of each connection in which it is watched.</summary>
    public ConnectionDelegate Watch(ConnectionDelegate next) => async connection =>
    {
        var watched = new WatchedTransport(connection, time);
        connection.Transport = watched;
        Add(watched);
        try
        {
            await next(connection);
        }
        finally
        {
            Remove(watched);
        }
    };

    /// <summary>Ends the watch.</summary>
    public void Dispose() => _timer?.Dispose();

    private void Add(WatchedTransport watched)
    {
        lock (_lock)
        {
            _connections.Add(watched);
            if (_connections.Count == 1)
            {
                (_timer ??= Timers.Create(time, static watch => watch.Look(), this)).Change(Interval, Interval);
            }
        }
    }

    private void Remove(WatchedTransport watched)
    {
        lock (_lock)
        {
            _connections.Remove(watched);
            if (_connections.Count == 0)
            {
                _timer?.Change(Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
            }
        }
    }

    private void Look()
    {
        List<WatchedTransport> connections;
        lock (_lock)
        {
            connections = [.. _connections];
        }

        if (connections.Exists(connection => connection.Silence > Interval))
        {
            if (connections.Exists(connection => connection.Silence <= Patience))
            {
                connections.FindAll(connection => connection.Silence > Patience).ForEach(connection => connection.Abort());
            }

            connections.ForEach(_ => Transport.Forget(AskAsync()));
        }
    }

    private async Task AskAsync() => await ask().ConfigureAwait(false);
}
