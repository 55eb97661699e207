using Microsoft.AspNetCore.Connections;

namespace IommuFd.Silo.Security;

/// <summary>
/// The connections to a port whose peers have not proved who they are: the newest ones, since a peer that means well needs milliseconds for what an idle one holds for seconds.
/// Thread-safe.
/// </summary>
/// <param name="most">How many there may be.</param>
internal sealed class UnprovedConnections(int most)
{
    private readonly Lock _lock = new();
    private readonly List<ConnectionContext> _connections = [];

    /// <summary>Adds one.</summary>
    /// <returns>The oldest, if it is one too many now; null otherwise. The caller ends it.</returns>
    public ConnectionContext? Add(ConnectionContext connection)
    {
        lock (_lock)
        {
            ConnectionContext? oldest = null;
            if (_connections.Count == most)
            {
                oldest = _connections[0];
                _connections.RemoveAt(0);
            }

            _connections.Add(connection);
            return oldest;
        }
    }

    /// <summary>Takes one away: its peer has proved who it is, or it has ended.</summary>
    public void Remove(ConnectionContext connection)
    {
        lock (_lock)
        {
            _connections.Remove(connection);
        }
    }
}
