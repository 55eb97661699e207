using System.Net.Sockets;

namespace IommuFd.GrainInterfaces.Wire;

// Answers become ready on any thread, while the last ones are still being written. They collect in one buffer while the other is on its way.

/// <summary>Sends frames on a connection. Thread-safe. A client that does not read is cut off: it slows nobody, and what waits for it is bounded.</summary>
/// <param name="send">Sends some of the bytes on the connection, and says how many.</param>
/// <param name="cut">Ends it; gets why.</param>
/// <param name="patience">How long the peer may take no bytes.</param>
internal sealed class FrameOutput(Func<ReadOnlyMemory<byte>, ValueTask<int>> send, Action<string> cut, TimeSpan patience)
{
    private const int MaxWaiting = 64 << 20;

    // A slow reader of a large answer is not cut off as long as it takes this much in time.
    private const int MostAtOnce = 64 * 1024;

    private readonly Lock _lock = new();
    private FrameWriter _next = new();
    private FrameWriter _other = new();
    private TaskCompletionSource? _sent;
    private bool _isSending;
    private bool _isClosed;

    // Also where the connection has a pipe: that is a thread more, and marks of descriptors would overtake the answer.

    /// <summary>Sends on a socket itself.</summary>
    public static Func<ReadOnlyMemory<byte>, ValueTask<int>> To(Socket socket) => bytes => socket.SendAsync(bytes);

    /// <summary>Sends on what encrypts a connection.</summary>
    public static Func<ReadOnlyMemory<byte>, ValueTask<int>> To(Stream stream) => async bytes =>
    {
        var some = bytes[..Math.Min(bytes.Length, MostAtOnce)];
        await stream.WriteAsync(some).ConfigureAwait(false);
        return some.Length;
    };

    /// <summary>Writes frames and sends them.</summary>
    public void Send<TState>(TState state, Action<FrameWriter, TState> write)
    {
        lock (_lock)
        {
            if (_isClosed)
            {
                return;
            }

            write(_next, state);
            if (_next.Written.Length > MaxWaiting)
            {
                Cut("too much waits for a client that does not read");
                return;
            }

            if (_isSending)
            {
                return;
            }

            _isSending = true;
        }

        _ = SendAsync();
    }

    /// <summary>Sends a last frame, and ends.</summary>
    public async Task ByeAsync(uint tag, ByeReason reason, string text)
    {
        Send((tag, reason, text), static (writer, bye) => Bye.Write(writer, bye.tag, bye.reason, bye.text));
        TaskCompletionSource sent;
        lock (_lock)
        {
            _isClosed = true;
            if (!_isSending)
            {
                return;
            }

            sent = _sent ??= new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        }

        await sent.Task;
    }

    /// <summary>From now on, sends nothing more.</summary>
    public void Close()
    {
        lock (_lock)
        {
            _isClosed = true;
        }
    }

    private async Task SendAsync()
    {
        try
        {
            while (true)
            {
                FrameWriter full;
                lock (_lock)
                {
                    if (_next.Written.IsEmpty)
                    {
                        _isSending = false;
                        _sent?.TrySetResult();
                        return;
                    }

                    (full, _next, _other) = (_next, _other, _next);
                }

                for (var left = full.Written; !left.IsEmpty;)
                {
                    var sent = send(left);
                    left = left[(sent.IsCompletedSuccessfully ? sent.Result : await sent.AsTask().WaitAsync(patience))..];
                }

                full.Clear();
            }
        }
        catch (TimeoutException)
        {
            Fail();
            Cut($"a client did not read its answers for {patience.TotalSeconds} s");
        }
        catch (Exception exception) when (exception is SocketException or IOException or ObjectDisposedException or InvalidOperationException or OperationCanceledException)
        {
            // The client has gone.
            Fail();
        }
    }

    private void Fail()
    {
        lock (_lock)
        {
            (_isClosed, _isSending) = (true, false);
            _sent?.TrySetResult();
        }
    }

    private void Cut(string why)
    {
        Close();
        cut(why);
    }
}
