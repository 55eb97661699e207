using System.Buffers.Binary;
using System.Collections.Concurrent;
using System.Net.Sockets;
using IommuFd.GrainInterfaces.Wire;
using Microsoft.Win32.SafeHandles;

namespace IommuFd.Silo.Gateway.Descriptors;

// One thread hears of all descriptors. A descriptor costs it nothing while nothing happens, and none can hold it up: it takes some of what has arrived, goes on to
// the next, never waits, and leaves every answer to tasks.

/// <summary>The program's end of a descriptor, as the gateway sees it.</summary>
internal sealed class DescriptorSocket : IDisposable
{
    private const int TakesAtOnce = 64;

    private readonly Socket _socket;

    // A descriptor's frames are small; a pad is read and forgotten piece by piece.
    private readonly byte[] _bytes = new byte[FrameWriter.HeaderBytes + Hello.MaxBody];
    private readonly Lock _lock = new();
    private readonly TaskCompletionSource _over = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private int _have;
    private int _skip;
    private bool _peeks;

    public DescriptorSocket(Socket socket)
    {
        // A send that does not fit fails instead of waiting.
        socket.Blocking = false;
        (_socket, Handle, Peer) = (socket, (int)socket.Handle, GatewayPeer.Of(socket));
    }

    /// <summary>Handles a frame; of a pad, its header. Throws for one that breaks the rules.</summary>
    public Action<FrameKind, uint, ReadOnlyMemory<byte>>? OnFrame { get; set; }

    /// <summary>Who has connected it.</summary>
    public GatewayPeer Peer { get; }

    public int Handle { get; }

    /// <summary>Completes when its last copy is closed, or when it breaks the rules.</summary>
    public Task Over => _over.Task;

    /// <summary>Whether its last copy is closed, also where nobody has heard of it yet.</summary>
    public unsafe bool IsOver
    {
        get
        {
            lock (_lock)
            {
                var request = new Native.PollRequest { FileDescriptor = Handle, Events = (short)Native.EpollPeerClosed };
                return _over.Task.IsCompleted || Native.Poll(&request, 1, 0) != 0;
            }
        }
    }

    /// <summary>Sends bytes, which are few: they fit, or the program does not take what it was sent before and gets no more.</summary>
    public void Send(ReadOnlySpan<byte> bytes)
    {
        lock (_lock)
        {
            if (!_over.Task.IsCompleted && _socket.Send(bytes, SocketFlags.None, out _) != bytes.Length)
            {
                End();
            }
        }
    }

    /// <summary>Sends why it is cut.</summary>
    public void Bye(FrameException why)
    {
        var writer = new FrameWriter();
        GrainInterfaces.Wire.Bye.Write(writer, 0, why.Reason, why.Message);
        Send(writer.Written.Span);
    }

    /// <summary>Takes some of what has arrived.</summary>
    /// <returns>Whether there may be more.</returns>
    public bool Take()
    {
        lock (_lock)
        {
            try
            {
                for (var i = 0; i < TakesAtOnce; i++)
                {
                    if (_over.Task.IsCompleted || !TakeOne())
                    {
                        return false;
                    }
                }

                return true;
            }
            catch (FrameException exception)
            {
                Bye(exception);
                End();
                return false;
            }
        }
    }

    /// <summary>Its last copy is closed, or it breaks the rules: from now on its socket is left alone.</summary>
    public void End() => _over.TrySetResult();

    public void Dispose()
    {
        End();
        lock (_lock)
        {
            _socket.Dispose();
        }
    }

    // Takes no byte beyond the frame that is being read: what follows a pad's header stays unread, so that the program's end is not writable.
    private bool TakeOne()
    {
        if (_skip > 0)
        {
            var skipped = Receive(_bytes.AsSpan(0, Math.Min(_skip, _bytes.Length)));
            _skip -= skipped;
            return skipped > 0;
        }

        var wanted = _have < FrameWriter.HeaderBytes ? FrameWriter.HeaderBytes : FrameWriter.HeaderBytes + BodyLength;
        if (_have < wanted)
        {
            var taken = Receive(_bytes.AsSpan(_have, wanted - _have));
            _have += taken;
            if (_have < FrameWriter.HeaderBytes || (taken == 0 && _have < wanted))
            {
                return taken > 0;
            }
        }

        var kind = (FrameKind)_bytes[4];
        var tag = BinaryPrimitives.ReadUInt32LittleEndian(_bytes.AsSpan(8));
        if (_bytes.AsSpan(5, 3).ContainsAnyExcept((byte)0))
        {
            throw FrameException.Malformed("a reserved byte of a header is not zero");
        }

        if (kind == FrameKind.Pad)
        {
            OnFrame?.Invoke(kind, tag, default);
            Peek();
            (_skip, _have) = (BodyLength, 0);
            return true;
        }

        if ((uint)BodyLength > Hello.MaxBody)
        {
            throw FrameException.Malformed($"a body has {(uint)BodyLength} bytes, it may have {Hello.MaxBody}");
        }

        if (_have < FrameWriter.HeaderBytes + BodyLength)
        {
            return true;
        }

        var body = _bytes.AsSpan(FrameWriter.HeaderBytes, BodyLength).ToArray();
        _have = 0;
        OnFrame?.Invoke(kind, tag, body);
        return true;
    }

    private int BodyLength => BinaryPrimitives.ReadInt32LittleEndian(_bytes);

    // From now on bytes are looked at and stay: the kernel keeps the place.
    private void Peek()
    {
        if (_peeks || (uint)BodyLength > FrameWriter.MaxPad)
        {
            throw FrameException.Malformed("a descriptor has one pad, of 64 KiB at most");
        }

        _socket.SetRawSocketOption(Native.SolSocket, Native.SoPeekOffset, stackalloc byte[sizeof(int)]);
        _peeks = true;
    }

    private unsafe int Receive(Span<byte> bytes)
    {
        fixed (byte* at = bytes)
        {
            return (int)Math.Max(0, Native.Receive(Handle, at, bytes.Length, Native.DontWait | (_peeks ? Native.Peek : 0)));
        }
    }
}

/// <summary>Hears of descriptors: what comes by them, and that their last copies are closed.</summary>
internal sealed class DescriptorSockets : IDisposable
{
    private const int EventsAtOnce = 128;

    private readonly ConcurrentDictionary<long, DescriptorSocket> _sockets = new();
    private readonly SafeFileHandle _epoll = new(Native.EpollCreate(0), ownsHandle: true);
    private readonly Thread _thread;
    private long _last;
    private volatile bool _isStopped;

    public DescriptorSockets()
    {
        _thread = new Thread(Run) { Name = "gateway descriptors", IsBackground = true };
        _thread.Start();
    }

    /// <summary>Hears of a socket from now on, until it is over.</summary>
    public unsafe void Add(DescriptorSocket socket)
    {
        var key = Interlocked.Increment(ref _last);
        _sockets[key] = socket;
        _ = RemoveAsync(key, socket);
        var epollEvent = stackalloc byte[16];
        *(uint*)epollEvent = Native.EpollIn | Native.EpollPeerClosed | Native.EpollEdge;
        *(long*)(epollEvent + Native.EpollDataOffset) = key;
        if (Native.EpollControl(_epoll, Native.EpollAdd, socket.Handle, epollEvent) != 0)
        {
            socket.End();
        }
    }

    public void Dispose()
    {
        _isStopped = true;
        _thread.Join();
        _epoll.Dispose();
        foreach (var socket in _sockets.Values)
        {
            socket.Dispose();
        }
    }

    private async Task RemoveAsync(long key, DescriptorSocket socket)
    {
        await socket.Over;
        _sockets.TryRemove(key, out _);
    }

    private unsafe void Run()
    {
        var events = stackalloc byte[EventsAtOnce * 16];
        List<(DescriptorSocket Socket, bool IsClosed)> now = [], later = [];
        while (!_isStopped)
        {
            var count = Native.EpollWait(_epoll, events, EventsAtOnce, later.Count > 0 ? 0 : 100);
            (now, later) = (later, now);
            for (var i = 0; i < count; i++)
            {
                var at = events + (i * Native.EpollEventBytes);
                if (_sockets.TryGetValue(*(long*)(at + Native.EpollDataOffset), out var socket))
                {
                    now.Add((socket, (*(uint*)at & (Native.EpollPeerClosed | Native.EpollHangUp)) != 0));
                }
            }

            foreach (var (socket, isClosed) in now)
            {
                if (socket.Take())
                {
                    later.Add((socket, isClosed));
                }
                else if (isClosed)
                {
                    socket.End();
                }
            }

            now.Clear();
        }
    }
}
