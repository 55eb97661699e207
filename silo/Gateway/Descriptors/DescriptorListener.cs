using System.Net.Sockets;
using IommuFd.Client;
using IommuFd.GrainInterfaces;
using IommuFd.GrainInterfaces.Wire;
using IommuFd.Silo.Gateway.Programs;
using IommuFd.Silo.Security;
using IommuFd.Uapi;
using Microsoft.Extensions.Logging;

namespace IommuFd.Silo.Gateway.Descriptors;

/// <summary>Accepts descriptors: each connection is a file descriptor of a program's.</summary>
internal sealed class DescriptorListener : IDisposable
{
    private const int Backlog = 512;

    private readonly GatewayContexts _contexts;
    private readonly Socket _listener;
    private readonly Welcome _welcome;
    private readonly ILogger _logger;
    private readonly DescriptorSockets _sockets = new();
    private readonly LogBudget _endings = new(TimeProvider.System), _notAccepted = new(TimeProvider.System);
    private volatile bool _isStopping;

    public DescriptorListener(GatewayContexts contexts, Socket listener, Welcome welcome, ILogger logger)
    {
        (_contexts, _listener, _welcome, _logger) = (contexts, listener, welcome, logger);
        listener.Listen(Backlog);
        _ = AcceptAsync();
    }

    /// <summary>From now on, what programs have open stays open when their connections end: the silo stops, and the service closes it when the leases expire.</summary>
    public void Stop()
    {
        _isStopping = true;
        _contexts.Files.Dispose();
        _listener.Dispose();
    }

    public void Dispose()
    {
        Stop();
        _sockets.Dispose();
    }

    private async Task AcceptAsync()
    {
        while (true)
        {
            try
            {
                _ = ServeAsync(new DescriptorSocket(await _listener.AcceptAsync()));
            }
            catch (Exception) when (_isStopping)
            {
                return;
            }
            catch (SocketException exception)
            {
                // The program has gone before it was accepted, or this process has no descriptors left for a while.
                if (_notAccepted.TryTake(out var others))
                {
                    _logger.DescriptorNotAccepted(exception.Message, others);
                }

                await Task.Delay(TimeSpan.FromMilliseconds(10));
            }
        }
    }

    private async Task ServeAsync(DescriptorSocket socket)
    {
        var opening = new TaskCompletionSource<(Hello Hello, Opening Opening)>(TaskCreationOptions.RunContinuationsAsynchronously);
        var greeting = new Greeting(opening, _welcome, socket);
        socket.OnFrame = greeting.Handle;
        try
        {
            _contexts.Connections.Enter(socket.Peer.Identity);
            _sockets.Add(socket);
            await WaitAsync(Task.WhenAny(opening.Task, socket.Over));
            if (opening.Task.IsCompletedSuccessfully)
            {
                var (hello, first) = await opening.Task;
                await ServeAsync(socket, greeting, hello, first);
            }
        }
        catch (FrameException exception)
        {
            if (_endings.TryTake(out var others))
            {
                _logger.ConnectionEnded(socket.Peer.Identity, socket.Peer.Process, exception.Message, others);
            }

            socket.Bye(exception);
        }
        finally
        {
            socket.Dispose();
            _contexts.Connections.Leave(socket.Peer.Identity);
        }
    }

    private async Task WaitAsync(Task said)
    {
        try
        {
            await said.WaitAsync(_contexts.Settings.HelloPatience);
        }
        catch (TimeoutException)
        {
            throw FrameException.Malformed($"not HELLO and then OPEN, CLAIM, RESUME, OPEN DEVICE or OPEN GROUP DEVICE within {_contexts.Settings.HelloPatience.TotalSeconds} s");
        }
    }

    private async Task ServeAsync(DescriptorSocket socket, Greeting greeting, Hello hello, Opening first)
    {
        var (descriptor, errno, text) = await OpenAsync(socket, hello, first);
        if (descriptor is not null)
        {
            greeting.OnProof = nonce => _contexts.Prove(nonce, descriptor);
            _contexts.Add(descriptor);
            _contexts.Holders.Opened(descriptor, HoldingProcess.Of(socket.Peer.For(hello.Process).Process));
        }

        WriteOpened(socket, first, descriptor, errno, text, descriptor is null ? new byte[HandleSeal.ResumptionBytes] : _contexts.Files.ResumptionOf(socket.Peer.Identity, descriptor.Leads));
        if (descriptor is null)
        {
            return;
        }

        descriptor.Start();
        await socket.Over;
        if (!_isStopping)
        {
            await _contexts.RemoveAsync(descriptor);
        }
    }

    private static void WriteOpened(DescriptorSocket socket, Opening first, Descriptor? descriptor, Errno errno, string? text, byte[] resumption)
    {
        var writer = new FrameWriter();
        var at = writer.Begin(first.Kind | FrameKind.Answer, first.Tag);
        var words = FrameWriter.Utf8(text, Hello.MaxBody);
        writer.UInt32((uint)errno);
        writer.UInt32((uint)words.Length);
        writer.Name(descriptor?.Ticket ?? default);
        writer.Byte(descriptor?.Kind ?? 0);
        writer.Reserved(1);
        writer.UInt16(descriptor?.Leads.Number ?? 0);
        writer.Reserved(4);
        writer.Bytes(resumption);
        writer.Bytes(words);
        writer.Finish(at);
        socket.Send(writer.Written.Span);
    }

    private async Task<(Descriptor? Descriptor, Errno Errno, string? Text)> OpenAsync(DescriptorSocket socket, Hello hello, Opening first)
    {
        var identity = socket.Peer.Identity;
        if (first.Kind == FrameKind.Claim)
        {
            return _contexts.Take(first.Claim) is var (opened, file)
                ? (new Descriptor(socket, _contexts.Files.Take(opened, file, identity), identity), Errno.None, null)
                : (null, Errno.ENOENT, "nothing waits for this claim");
        }

        try
        {
            var program = socket.Peer.For(hello.Process).Describe(hello.Name);
            if (first.Resumption is { } resumption)
            {
                return (new Descriptor(socket, await _contexts.Files.ResumeAsync(socket.Peer, program, resumption), identity), Errno.None, null);
            }

            if (first.Device is { } device)
            {
                return (new Descriptor(socket, await OpenDeviceAsync(socket.Peer, program, first.Group, device), identity), Errno.None, null);
            }

            await _contexts.SettleAsync();
            return (new Descriptor(socket, await _contexts.Files.OpenAsync(socket.Peer, program, first.Mode), identity), Errno.None, null);
        }
        catch (IommufdException exception)
        {
            return (null, exception.Errno, exception.Message);
        }
        catch (IommufdTransportException exception)
        {
            return (null, Errno.EIO, exception.Message);
        }
    }

    private async Task<OpenedFile> OpenDeviceAsync(GatewayPeer peer, string program, Guid? group, string name)
    {
        if (group is null)
        {
            return char.IsAsciiDigit(name.FirstOrDefault()) ? _contexts.Files.OpenGroup(_contexts, peer, name) : _contexts.Files.OpenDevice(peer, program, name);
        }

        return _contexts.Find(group.Value) is { Leads: { Device: null, Group: { } file } } descriptor && descriptor.IsFor(peer.Identity)
            ? await _contexts.Files.OpenDeviceAsync(file, peer, program, name) : throw new IommufdException("open", Errno.EBADF, null);
    }

    /// <summary>OPEN, CLAIM, RESUME, OPEN DEVICE or OPEN GROUP DEVICE.</summary>
    private readonly record struct Opening(FrameKind Kind, uint Tag, ContextMode? Mode = null, Guid Claim = default, byte[]? Resumption = null, string? Device = null, Guid? Group = null)
    {
        private const int MaxDeviceName = 64;

        public static Opening Read(FrameKind kind, uint tag, ReadOnlySpan<byte> body)
        {
            var reader = new FrameReader(body);
            switch (kind)
            {
                case FrameKind.Open:
                    var mode = reader.Choice(2) switch { 1 => ContextMode.Volatile, 2 => ContextMode.Durable, _ => default(ContextMode?) };
                    reader.Reserved(7);
                    reader.End();
                    return new Opening(kind, tag, mode);
                case FrameKind.Claim:
                    var claim = reader.Name();
                    reader.End();
                    return new Opening(kind, tag, Claim: claim);
                case FrameKind.Resume:
                    var resumption = reader.Bytes(HandleSeal.ResumptionBytes);
                    reader.End();
                    return new Opening(kind, tag, Resumption: resumption);
                case FrameKind.OpenDevice or FrameKind.OpenGroupDevice:
                    Guid? group = kind == FrameKind.OpenGroupDevice ? reader.Name() : null;
                    var length = reader.ShortLength(MaxDeviceName);
                    reader.Reserved(6);
                    var device = reader.Text(length);
                    reader.End();
                    return new Opening(kind, tag, Device: device, Group: group);
                default:
                    throw FrameException.Malformed($"a descriptor begins with OPEN, CLAIM, RESUME, OPEN DEVICE or OPEN GROUP DEVICE, not with 0x{(byte)kind:X2}");
            }
        }
    }

    /// <summary>What a descriptor says, in order: HELLO, then OPEN, CLAIM, RESUME, OPEN DEVICE or OPEN GROUP DEVICE, and proofs.</summary>
    private sealed class Greeting(TaskCompletionSource<(Hello Hello, Opening Opening)> opening, Welcome welcome, DescriptorSocket socket)
    {
        private Hello? _hello;

        /// <summary>Gets the nonces. A program that has no answer yet has no descriptor to prove.</summary>
        public Action<Guid>? OnProof { get; set; }

        public void Handle(FrameKind kind, uint tag, ReadOnlyMemory<byte> body)
        {
            if (_hello is null)
            {
                Greet(kind, tag, body);
            }
            else if (!opening.Task.IsCompleted)
            {
                opening.SetResult((_hello, Opening.Read(kind, tag, body.Span)));
            }
            else if (kind == FrameKind.Pad)
            {
                // It stays unread.
            }
            else if (kind == FrameKind.Prove)
            {
                var reader = new FrameReader(body.Span);
                var nonce = reader.Name();
                reader.End();
                OnProof?.Invoke(nonce);
            }
            else
            {
                throw FrameException.Malformed($"a descriptor has no frames of kind 0x{(byte)kind:X2}");
            }
        }

        private void Greet(FrameKind kind, uint tag, ReadOnlyMemory<byte> body)
        {
            _hello = kind == FrameKind.Hello ? Hello.Read(body.Span) : throw FrameException.Malformed("the first frame is not HELLO");
            _hello.Check();
            if (_hello.Role != ConnectionRole.Descriptor)
            {
                throw FrameException.Malformed("calls connect to the path itself");
            }

            var writer = new FrameWriter();
            welcome.Write(writer, tag);
            socket.Send(writer.Written.Span);
        }
    }
}
