using System.Net;
using System.Net.Sockets;

namespace IommuFd.ClusterTests.Gateway;

/// <summary>Passes on what goes between clients and a port of this machine, until it cuts them off or holds it back.</summary>
internal sealed class Relay : IDisposable
{
    private readonly Lock _lock = new();
    private readonly TcpListener _listener = new(IPAddress.Loopback, 0);
    private readonly List<TcpClient> _open = [];
    private readonly int _to;
    private volatile TaskCompletionSource _isOpen = new();

    public Relay(int to)
    {
        _to = to;
        Pass();
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

    /// <summary>Holds back what comes from now on. The connections stay.</summary>
    public void Hold() => _isOpen = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);

    /// <summary>Passes on what was held back, and all that comes.</summary>
    public void Pass() => _isOpen.TrySetResult();

    public void Dispose()
    {
        Pass();
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

    private async Task CopyAsync(TcpClient from, TcpClient to)
    {
        try
        {
            var buffer = new byte[64 * 1024];
            while (await from.GetStream().ReadAsync(buffer) is var length and > 0)
            {
                await _isOpen.Task;
                await to.GetStream().WriteAsync(buffer.AsMemory(0, length));
            }
        }
        catch (Exception exception) when (exception is IOException or InvalidOperationException)
        {
            // It was cut off.
        }

        to.Dispose();
    }
}
