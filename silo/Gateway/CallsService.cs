using System.Collections.Concurrent;
using IommuFd.GrainInterfaces.Wire;
using Microsoft.AspNetCore.Connections;

namespace IommuFd.Silo.Gateway;

/// <summary>Serves connections for calls from HELLO on, by whatever they come. Each door has one.</summary>
internal sealed class CallsService(GatewayContexts contexts, GatewaySettings settings)
{
    /// <summary>Bytes of a body: a batch of ioctls with some large buffers.</summary>
    private const int MaxBody = 16 << 20;

    private readonly ConcurrentDictionary<FrameOutput, byte> _outputs = new();

    /// <summary>The answer to HELLO.</summary>
    public Welcome Welcome(byte[] table) => new(MaxBody, (uint)settings.MaxUnderWay, contexts.Instance, table);

    /// <summary>The output of a new connection.</summary>
    public FrameOutput Open(ConnectionContext connection, Func<ReadOnlyMemory<byte>, ValueTask<int>> send)
    {
        var output = new FrameOutput(send, why => connection.Abort(new ConnectionAbortedException(why)), settings.ReadPatience);
        _outputs.TryAdd(output, 0);
        return output;
    }

    /// <summary>The connection has ended.</summary>
    public void Close(FrameOutput output)
    {
        output.Close();
        _outputs.TryRemove(output, out _);
    }

    /// <summary>Reads HELLO, in a version that both sides speak.</summary>
    /// <returns>Null if the client has gone without one.</returns>
    /// <exception cref="FrameException">Something else came, or nothing in time.</exception>
    public async Task<Hello?> GreetAsync(FrameInput input)
    {
        Hello? hello = null;
        using var patience = new CancellationTokenSource(settings.HelloPatience);
        try
        {
            await input.ReadAsync(frame => hello = frame.Kind == FrameKind.Hello ? Hello.Read(frame.Body) : throw FrameException.Malformed("the first frame is not HELLO"), 1, patience.Token);
        }
        catch (OperationCanceledException) when (patience.IsCancellationRequested)
        {
            throw FrameException.Malformed($"no HELLO within {settings.HelloPatience.TotalSeconds} s");
        }

        hello?.Check();
        return hello;
    }

    /// <summary>Answers HELLO, and then the requests of a client until it ends the connection.</summary>
    /// <exception cref="FrameException">It breaks the protocol's rules.</exception>
    public async Task RunAsync(GatewayPeer peer, Hello hello, FrameInput input, FrameOutput output)
    {
        var welcome = Welcome(CommandTable.Bytes);
        output.Send((welcome, input.Tag), static (writer, greeting) => greeting.welcome.Write(writer, greeting.Tag));
        input.MaxBody = MaxBody;
        input.OnWaiting = contexts.Uses.Of(peer.Identity).Wait;
        try
        {
            await new CallsConnection(contexts, output, peer, hello).RunAsync(input);
        }
        finally
        {
            input.Forget();
        }
    }

    /// <summary>Tells every client of this door that the silo stops.</summary>
    public Task StopAsync() => Task.WhenAll(_outputs.Keys.Select(output => output.ByeAsync(0, ByeReason.Stopping, "the silo stops")));
}
