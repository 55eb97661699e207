using System.Net.Sockets;

namespace IommuFd.Cli.Running;

// The bridge waits while the socket has no room, so no record is lost. They come in the order in which calls have ended. Once the program has ended, all of its records are in
// the socket: an empty datagram behind them is the end.

/// <summary>Receives what the bridge in a program, and in those that it starts, tells about their calls.</summary>
internal sealed class TraceListener : IDisposable
{
    private readonly PrivateFolder _folder = new();
    private readonly Socket _socket = new(AddressFamily.Unix, SocketType.Dgram, ProtocolType.Unspecified);
    private readonly Action<TraceRecord> _take;
    private readonly Thread _thread;

    /// <param name="take">Takes each record, on a thread of the listener's.</param>
    public TraceListener(Action<TraceRecord> take)
    {
        _take = take;
        Path = _folder.Socket("trace.sock");
        _socket.Bind(new UnixDomainSocketEndPoint(Path));
        _thread = new Thread(Receive) { IsBackground = true, Name = "trace" };
        _thread.Start();
    }

    /// <summary>The socket's path, for <c>IOMMUFD_TRACE</c>.</summary>
    public string Path { get; }

    /// <summary>Takes all records of calls that have ended, and stops.</summary>
    public void Dispose()
    {
        using (var end = new Socket(AddressFamily.Unix, SocketType.Dgram, ProtocolType.Unspecified))
        {
            end.SendTo([], new UnixDomainSocketEndPoint(Path));
        }

        _thread.Join();
        _socket.Dispose();
        _folder.Dispose();
    }

    private void Receive()
    {
        var datagram = new byte[TraceRecord.MaxBytes];
        while (_socket.Receive(datagram) is > 0 and var bytes)
        {
            if (TraceRecord.Parse(datagram.AsSpan(0, bytes)) is { } record)
            {
                _take(record);
            }
        }
    }
}
