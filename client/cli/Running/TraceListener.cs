using System.Net.Sockets;
using IommuFd.Cli.Faults;

namespace IommuFd.Cli.Running;

// The bridge waits while the socket has no room, so no record is lost. They come in the order in which calls have ended. Once the program has ended, all of its records are in
// the socket: an empty datagram behind them is the end.

/// <summary>Receives what the bridge in a program, and in those that it starts, tells about their calls.</summary>
internal sealed class TraceListener : IDisposable
{
    private readonly PrivateFolder _folder = new();
    private readonly Socket _socket = new(AddressFamily.Unix, SocketType.Dgram, ProtocolType.Unspecified);
    private readonly Action<TraceRecord> _take;
    private readonly FaultWatch? _faults;
    private readonly Thread _thread;

    /// <param name="take">Takes each record, on a thread of the listener's.</param>
    /// <param name="faults">Is asked before each record, and while none comes; null for nothing.</param>
    public TraceListener(Action<TraceRecord> take, FaultWatch? faults)
    {
        (_take, _faults) = (take, faults);
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
        _faults?.TakeAll();
        _socket.Dispose();
        _folder.Dispose();
    }

    private void Receive()
    {
        var datagram = new byte[TraceRecord.MaxBytes];
        while (true)
        {
            while (_faults is not null && !_socket.Poll(FaultWatch.Pause, SelectMode.SelectRead))
            {
                _faults.TakeAll();
            }

            if (_socket.Receive(datagram) is not (> 0 and var bytes))
            {
                return;
            }

            if (TraceRecord.Parse(datagram.AsSpan(0, bytes)) is { } record)
            {
                _faults?.Before(record);
                _take(record);
            }
        }
    }
}
