using System.Buffers.Binary;
using System.Net;
using System.Net.Sockets;
using System.Text;
using Xunit;

namespace IommuFd.TestSupport;

/// <summary>A frame that the gateway has sent.</summary>
internal sealed record WireFrame(byte Kind, uint Tag, byte[] Body)
{
    public const byte Bye = 0xFF;

    public uint Number(int offset) => BinaryPrimitives.ReadUInt32LittleEndian(Body.AsSpan(offset));

    public byte[] Name(int offset) => Body[offset..(offset + 16)];

    /// <summary>Why the connection ends, and its words.</summary>
    public (int Reason, string Text) Why => (BinaryPrimitives.ReadUInt16LittleEndian(Body), Encoding.UTF8.GetString(Body.AsSpan(4)));

    public override string ToString() => Kind == Bye ? $"BYE {Why}" : $"0x{Kind:X2}, tag {Tag}, {Convert.ToHexString(Body.AsSpan(0, Math.Min(Body.Length, 64)))}";
}

/// <summary>A program's connection to a gateway, which sends whatever bytes it is given.</summary>
internal sealed class WireConnection : IDisposable
{
    private const int HeaderBytes = 12;

    private readonly Socket _socket;

    private WireConnection(Socket socket) => _socket = socket;

    /// <summary>Whether there is anything to read, which for a descriptor is its mark, or its end.</summary>
    public bool IsReadable => _socket.Poll(0, SelectMode.SelectRead);

    public bool IsWritable => _socket.Poll(0, SelectMode.SelectWrite);

    /// <summary>Connects and says nothing.</summary>
    public static async Task<WireConnection> ConnectAsync(string path)
    {
        var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        await socket.ConnectAsync(new UnixDomainSocketEndPoint(path));
        return new WireConnection(socket);
    }

    /// <summary>Connects by TCP, and says nothing.</summary>
    public static async Task<WireConnection> ConnectAsync(int port)
    {
        var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
        await socket.ConnectAsync(IPAddress.Loopback, port);
        return new WireConnection(socket);
    }

    /// <summary>Connects for calls.</summary>
    public static async Task<WireConnection> CallsAsync(string path, ulong program = 1)
    {
        var connection = await ConnectAsync(path);
        var welcome = await connection.CallAsync(WireFrames.Hello(WireFrames.Calls, program));
        Assert.True(welcome.Kind == 0x81, $"the answer to HELLO is WELCOME, it was {welcome}");
        return connection;
    }

    public async Task SendAsync(params byte[][] frames)
    {
        using var limit = new CancellationTokenSource(Eventually.Limit);
        for (ReadOnlyMemory<byte> left = frames is [var only] ? only : frames.SelectMany(frame => frame).ToArray(); !left.IsEmpty;)
        {
            left = left[await _socket.SendAsync(left, limit.Token)..];
        }
    }

    /// <summary>Sends what the gateway takes; what it no longer takes is lost.</summary>
    public async Task TrySendAsync(params byte[][] frames)
    {
        try
        {
            await SendAsync(frames);
        }
        catch (SocketException)
        {
            // It has ended the connection.
        }
    }

    /// <summary>Closes the sending half: the gateway gets what was sent and then the end.</summary>
    public void EndSending() => _socket.Shutdown(SocketShutdown.Send);

    /// <summary>The same, where the gateway may have ended the connection.</summary>
    public void TryEndSending()
    {
        try
        {
            EndSending();
        }
        catch (SocketException)
        {
            // It has.
        }
    }

    /// <summary>Receives until the connection's end, whatever comes.</summary>
    public async Task DrainAsync()
    {
        using var limit = new CancellationTokenSource(Eventually.Limit);
        var bytes = new byte[4096];
        while (await ReceiveAsync(bytes, limit.Token) > 0)
        {
        }
    }

    /// <summary>The next frame; null at the connection's end.</summary>
    public async Task<WireFrame?> ReceiveAsync()
    {
        if (await BytesAsync(HeaderBytes) is not { } header)
        {
            return null;
        }

        Assert.True(header[5..8].All(reserved => reserved == 0), $"a header's reserved bytes are zero, they were {Convert.ToHexString(header)}");
        var body = await BytesAsync(BinaryPrimitives.ReadInt32LittleEndian(header));
        return new WireFrame(header[4], BinaryPrimitives.ReadUInt32LittleEndian(header.AsSpan(8)), body ?? throw new IOException("The connection ended within a frame."));
    }

    /// <summary>Sends a request and receives its answer.</summary>
    public async Task<WireFrame> CallAsync(params byte[][] frames)
    {
        await SendAsync(frames);
        return await AnswerAsync();
    }

    public async Task<WireFrame> AnswerAsync() => await ReceiveAsync() ?? throw new IOException("The gateway has ended the connection instead of answering.");

    /// <summary>The gateway's last frame says why it ends the connection, and the end follows. Answers before it are left out.</summary>
    public async Task<WireFrame> ExpectByeAsync(int reason, string because)
    {
        WireFrame? last = null;
        while (await ReceiveAsync() is { } frame)
        {
            Assert.True(last?.Kind != WireFrame.Bye, $"{because}: nothing follows BYE, {frame} did");
            last = frame;
        }

        Assert.True(last is { Kind: WireFrame.Bye } && last.Why.Reason == reason, $"{because}: the last frame is BYE {reason}, it was {last?.ToString() ?? "none"}");
        return last!;
    }

    /// <summary>Takes marks that have come.</summary>
    /// <returns>How many.</returns>
    public int TakeMarks()
    {
        var marks = new byte[16];
        return IsReadable ? _socket.Receive(marks) : 0;
    }

    /// <summary>Waits until it is readable, and leaves the mark where it is.</summary>
    public async Task ReadableAsync(string because)
    {
        using var limit = new CancellationTokenSource(Eventually.Limit);
        var peeked = await _socket.ReceiveAsync(new byte[1], SocketFlags.Peek, limit.Token);
        Assert.True(peeked == 1, $"{because}: a mark was expected, the descriptor has ended");
    }

    public void Dispose() => _socket.Dispose();

    private async Task<byte[]?> BytesAsync(int count)
    {
        using var limit = new CancellationTokenSource(Eventually.Limit);
        var bytes = new byte[count];
        for (var have = 0; have < count;)
        {
            var got = await ReceiveAsync(bytes.AsMemory(have), limit.Token);
            if (got == 0)
            {
                return have == 0 ? null : throw new IOException($"The connection ended after {have} bytes of {count}.");
            }

            have += got;
        }

        return bytes;
    }

    // The gateway may end a connection of which it has left bytes unread: the kernel calls that a reset.
    private async Task<int> ReceiveAsync(Memory<byte> into, CancellationToken cancellationToken)
    {
        try
        {
            return await _socket.ReceiveAsync(into, cancellationToken);
        }
        catch (SocketException exception) when (exception.SocketErrorCode == SocketError.ConnectionReset)
        {
            return 0;
        }
    }
}
