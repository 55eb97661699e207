using System.Net;
using System.Net.Sockets;

namespace IommuFd.ClusterTests.Gateway;

/// <summary>Passes on what goes between clients and a port of this machine, until it cuts them off.</summary>
internal sealed class Relay : IDisposable
{
    private readonly Lock _lock = new();
    private readonly TcpListener _listener = new(IPAddress.Loopback, 0);
    private readonly List<TcpClient> _open = [];
    private readonly int _to;

    public Relay(int to)
    {
        _to = to;
        _listener.Start();
        _ = AcceptAsync();
    }

    public int Port => ((IPEndPoint)_listener.LocalEndpoint).Port;

    /// <summary>How many clients have connected.</summary>
    public int Connections { get; private set; }

    /// <summary>Ends the connections that there are.</summary>
    public void Cut()
    {
        lock (_lock)
        {
            _open.ForEach(connection => connection.Dispose());
            _open.Clear();
        }
    }

    public void Dispose()
    {
        _listener.Dispose();
        Cut();
    }

    private async Task AcceptAsync()
    {
        try
        {
            while (true)
            {
                var (near, far) = (await _listener.AcceptTcpClientAsync(), new TcpClient());
                await far.ConnectAsync(IPAddress.Loopback, _to);
                lock (_lock)
                {
                    _open.AddRange([near, far]);
                    Connections++;
                }

                _ = CopyAsync(near, far);
                _ = CopyAsync(far, near);
            }
        }
        catch (Exception exception) when (exception is SocketException or ObjectDisposedException)
        {
            // The test is over.
        }
    }

    private static async Task CopyAsync(TcpClient from, TcpClient to)
    {
        try
        {
            await from.GetStream().CopyToAsync(to.GetStream());
        }
        catch (Exception exception) when (exception is IOException or InvalidOperationException)
        {
            // It was cut off.
        }

        to.Dispose();
    }
}
