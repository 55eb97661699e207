using System.IO.Pipelines;
using System.Net;
using System.Net.Sockets;
using IommuFd.GrainInterfaces.Security;

namespace IommuFd.ClusterTests.Security;

/// <summary>A peer of a silo that sends any bytes.</summary>
internal sealed class RawPeer : IDisposable, IDuplexPipe
{
    private readonly Stream _stream;

    private RawPeer(Stream stream)
    {
        _stream = stream;
        Input = PipeReader.Create(stream);
        Output = PipeWriter.Create(stream);
    }

    public PipeReader Input { get; }

    public PipeWriter Output { get; }

    /// <summary>Connects. The silo may have closed the connection when this returns.</summary>
    public static async Task<RawPeer> ConnectAsync(int port)
    {
        using var limit = new CancellationTokenSource(Eventually.Limit);
        var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        try
        {
            await socket.ConnectAsync(new IPEndPoint(IPAddress.Loopback, port), limit.Token);
            return new RawPeer(new NetworkStream(socket, ownsSocket: true));
        }
        catch (Exception exception) when (exception is IOException or SocketException { SocketErrorCode: not SocketError.ConnectionRefused })
        {
            socket.Dispose();
            return new RawPeer(new MemoryStream([], writable: false));
        }
    }

    /// <summary>A peer that has proved that it knows the secret.</summary>
    public static async Task<RawPeer> ConnectProvedAsync(int port, byte[] secret)
    {
        using var limit = new CancellationTokenSource(Eventually.Limit);
        var peer = await ConnectAsync(port);
        await SecretHandshake.ProveAsync(peer, secret, PortKind.Clients, limit.Token);
        return peer;
    }

    /// <summary>Sends bytes; those that the silo no longer takes are lost.</summary>
    /// <returns>Whether it took them.</returns>
    public async Task<bool> SendAsync(ReadOnlyMemory<byte> bytes)
    {
        using var limit = new CancellationTokenSource(Eventually.Limit);
        try
        {
            await _stream.WriteAsync(bytes, limit.Token);
            return true;
        }
        catch (Exception exception) when (exception is IOException or NotSupportedException)
        {
            return false;
        }
    }

    /// <summary>Reads until the silo closes the connection.</summary>
    /// <returns>How many bytes it has sent.</returns>
    public async Task<int> ReadToEndAsync()
    {
        using var limit = new CancellationTokenSource(Eventually.Limit);
        var count = 0;
        try
        {
            var buffer = new byte[4096];
            while (await _stream.ReadAsync(buffer, limit.Token) is var read and > 0)
            {
                count += read;
            }
        }
        catch (IOException)
        {
            // It was closed while bytes of this peer were under way.
        }

        return count;
    }

    public void Dispose() => _stream.Dispose();
}
