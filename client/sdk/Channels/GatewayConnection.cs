using System.IO.Pipelines;
using System.Net.Sockets;
using System.Security.Authentication;
using IommuFd.GrainInterfaces;
using IommuFd.GrainInterfaces.Wire;

namespace IommuFd.Client;

/// <summary>Reads the answer to a call, behind its status.</summary>
internal delegate T AnswerReader<out T>(ref FrameReader reader);

/// <summary>A connection to a gateway, for any number of calls at once.</summary>
internal sealed class GatewayConnection : IDisposable
{
    private static readonly TimeSpan GreetPatience = TimeSpan.FromSeconds(5);

    private readonly Lock _lock = new();
    private readonly Dictionary<uint, PendingCall> _pending = [];
    private readonly Stream _stream;
    private readonly string _address;
    private readonly FrameOutput _output;
    private readonly FrameInput _input;
    private uint _lastTag;
    private int _maxBody;
    private IOException? _ended;

    private GatewayConnection(Stream stream, Func<ReadOnlyMemory<byte>, ValueTask<int>> send, string address)
    {
        (_stream, _address) = (stream, address);
        _output = new FrameOutput(send, End, TimeSpan.FromSeconds(10));
        _input = new FrameInput(PipeReader.Create(stream));
    }

    /// <summary>Whether it can be used no more.</summary>
    public bool IsEnded => Volatile.Read(ref _ended) is not null;

    /// <summary>Connects to a gateway.</summary>
    /// <exception cref="IOException">No gateway answers, or it refuses.</exception>
    public static async Task<GatewayConnection> ConnectAsync(GatewayAddress address, ulong program, string name)
    {
        GatewayConnection? connection = null;
        try
        {
            using var patience = new CancellationTokenSource(GreetPatience);
            var (input, send) = await address.ConnectAsync(patience.Token).ConfigureAwait(false);
            connection = new GatewayConnection(input, send, address.Text);
            await connection.GreetAsync(program, name, address.Token, patience.Token).ConfigureAwait(false);
            _ = connection.ReadAsync();
            return connection;
        }
        catch (Exception exception) when (exception is AuthenticationException or FrameException { Reason: ByeReason.NotPermitted })
        {
            connection?.Dispose();
            throw new GatewayRefusalException(
                exception is FrameException ? $"The gateway at '{address.Text}' refuses this client: {exception.Message}" : $"The gateway at '{address.Text}' is not trusted: {exception.Message}", exception);
        }
        catch (TlsFailedException exception)
        {
            throw new IOException($"The port at '{address.Text}' does not speak TLS with this client; is it a gateway's? {exception.Message}", exception);
        }
        catch (Exception exception) when (exception is SocketException or FrameException or OperationCanceledException or IOException)
        {
            connection?.Dispose();
            throw new IOException($"No gateway answers at '{address.Text}': {exception.Message}", exception);
        }
    }

    /// <summary>Makes a call.</summary>
    /// <param name="state">What the call needs.</param>
    /// <param name="write">Writes its frame.</param>
    /// <param name="read">Reads its answer.</param>
    public Task<T> CallAsync<TState, T>(TState state, Action<FrameWriter, uint, TState> write, AnswerReader<T> read)
    {
        var call = new PendingCall<T>(read);
        uint tag;
        lock (_lock)
        {
            if (_ended is not null)
            {
                return Task.FromException<T>(_ended);
            }

            do
            {
                tag = ++_lastTag;
            }
            while (!_pending.TryAdd(tag, call));
        }

        _output.Send((write, tag, state), static (writer, call) => call.write(writer, call.tag, call.state));
        return call.Task;
    }

    /// <summary>Bytes of a call's body, at most.</summary>
    public int MaxBody => _maxBody;

    public void Dispose() => End("it was closed");

    private async Task GreetAsync(ulong program, string name, string? token, CancellationToken cancellationToken)
    {
        _output.Send((program, name, token), static (writer, greeting) => Hello.Write(writer, ConnectionRole.Calls, greeting.program, greeting.name, greeting.token));
        if (!await _input.ReadAsync(frame => _maxBody = Welcome.Read(frame.Kind, frame.Body), 1, cancellationToken).ConfigureAwait(false))
        {
            throw new IOException("it closed the connection");
        }

        _input.MaxBody = int.MaxValue;
    }

    private async Task ReadAsync()
    {
        try
        {
            while (await _input.ReadAsync(Handle, int.MaxValue, CancellationToken.None).ConfigureAwait(false))
            {
            }

            End("it closed the connection");
        }
        catch (Exception exception) when (exception is FrameException or IOException or SocketException or ObjectDisposedException or InvalidOperationException)
        {
            End(exception.Message);
        }
    }

    private void Handle(Frame frame)
    {
        if (frame.Kind == FrameKind.Bye)
        {
            throw Bye.Read(frame.Body);
        }

        PendingCall? call;
        lock (_lock)
        {
            _pending.Remove(frame.Tag, out call);
        }

        call?.Answer(frame.Body);
    }

    private void End(string why)
    {
        List<PendingCall> left;
        lock (_lock)
        {
            if (_ended is not null)
            {
                return;
            }

            _ended = new IOException($"The gateway at '{_address}' is gone: {why}");
            left = [.. _pending.Values];
            _pending.Clear();
        }

        _output.Close();
        _stream.Dispose();
        left.ForEach(call => call.Fail(_ended));
    }

    private abstract class PendingCall
    {
        public abstract void Answer(ReadOnlySpan<byte> body);

        public abstract void Fail(Exception exception);
    }

    private sealed class PendingCall<T>(AnswerReader<T> read) : PendingCall
    {
        private readonly TaskCompletionSource<T> _answer = new(TaskCreationOptions.RunContinuationsAsynchronously);

        public Task<T> Task => _answer.Task;

        public override void Answer(ReadOnlySpan<byte> body)
        {
            try
            {
                var reader = new FrameReader(body);
                var status = (CallStatus)reader.Byte();
                reader.Reserved(7);
                if (status == CallStatus.Answered)
                {
                    var answer = read(ref reader);
                    reader.End();
                    _answer.SetResult(answer);
                    return;
                }

                var why = System.Text.Encoding.UTF8.GetString(reader.Rest());
                Fail(status == CallStatus.Unavailable ? new ContextUnavailableException(why) : new IOException(why));
            }
            catch (FrameException exception)
            {
                Fail(new InvalidDataException($"The gateway's answer breaks the protocol: {exception.Message}", exception));
            }
        }

        public override void Fail(Exception exception) => _answer.TrySetException(exception);
    }
}

/// <summary>The gateway does not let this client in, or is another than it should be: trying again is useless.</summary>
internal sealed class GatewayRefusalException(string message, Exception inner) : IOException(message, inner);
