using IommuFd.Client;
using IommuFd.GrainInterfaces;
using IommuFd.GrainInterfaces.Wire;
using IommuFd.Uapi;
using Microsoft.AspNetCore.Connections;

namespace IommuFd.Silo.Gateway;

// Requests begin in the order in which they arrive, and none waits for the one before: the context's session numbers them. Each answer is sent when it is there.

/// <summary>A connection on which a program issues requests.</summary>
internal sealed class CallsConnection
{
    private static readonly TimeSpan LookPatience = TimeSpan.FromMilliseconds(900);

    private static readonly TimeSpan ProofPatience = TimeSpan.FromSeconds(1);

    private readonly Lock _lock = new();
    private readonly Dictionary<uint, TaskCompletionSource<MemoryAnswer>?> _underWay = [];
    private readonly HashSet<Guid> _claims = [];
    private readonly HandleRequests _byHandle;
    private readonly GatewayContexts _contexts;
    private readonly ConnectionContext _connection;
    private readonly FrameOutput _output;
    private readonly GatewayPeer _peer;
    private readonly Hello _hello;
    private GatewayProgram? _program;
    private long _bytesUnderWay;

    /// <param name="contexts">What programs have open.</param>
    /// <param name="connection">The connection.</param>
    /// <param name="output">Where answers go.</param>
    /// <param name="peer">Who has connected.</param>
    /// <param name="hello">What the program said of itself.</param>
    public CallsConnection(GatewayContexts contexts, ConnectionContext connection, FrameOutput output, GatewayPeer peer, Hello hello)
    {
        (_contexts, _connection, _output, _peer, _hello) = (contexts, connection, output, peer, hello);
        _byHandle = new HandleRequests(contexts, this, peer);
    }

    public async Task RunAsync(FrameInput input)
    {
        _program = _contexts.Programs.Join(_peer, _hello.Program, this);
        try
        {
            while (await input.ReadAsync(Handle, int.MaxValue, _connection.ConnectionClosed))
            {
            }
        }
        finally
        {
            _contexts.Programs.Leave(_peer.Identity, _hello.Program, _program, this);
            _output.Close();
            await DiscardAllAsync();
        }
    }

    /// <summary>Asks the program whether memory is there; null if no ioctl of it is under way here.</summary>
    public Task<MemoryAnswer?>? TryAsk(MemoryPiece[] pieces)
    {
        var asked = new TaskCompletionSource<MemoryAnswer>(TaskCreationOptions.RunContinuationsAsynchronously);
        uint tag;
        lock (_lock)
        {
            if (_underWay.Where(request => request.Value is null).Select(request => (uint?)request.Key).FirstOrDefault() is not { } free)
            {
                return null;
            }

            _underWay[tag = free] = asked;
        }

        _output.Send((tag, pieces), static (writer, question) => LookFrame.Write(writer, question.tag, question.pieces));
        return AnswerAsync(tag, asked);
    }

    private async Task<MemoryAnswer?> AnswerAsync(uint tag, TaskCompletionSource<MemoryAnswer> asked)
    {
        try
        {
            return await asked.Task.WaitAsync(LookPatience);
        }
        catch (TimeoutException)
        {
            return null;
        }
        finally
        {
            lock (_lock)
            {
                if (_underWay.ContainsKey(tag))
                {
                    _underWay[tag] = null;
                }
            }
        }
    }

    private void Handle(Frame frame)
    {
        switch (frame.Kind)
        {
            case FrameKind.Ioctl:
                var ioctl = IoctlFrame.Read(frame.Body);
                Begin(frame, isIoctl: true);
                _ = IoctlAsync(frame.Tag, frame.Body.Length, ioctl);
                return;
            case FrameKind.Read or FrameKind.Write:
                var file = FileFrame.Read(frame.Body, frame.Kind == FrameKind.Write);
                Begin(frame, isIoctl: false);
                _ = FileAsync(frame.Kind, frame.Tag, frame.Body.Length, file);
                return;
            case FrameKind.Look | FrameKind.Answer:
                Answered(frame.Tag, LookFrame.ReadAnswer(frame.Body));
                return;
            case FrameKind.Took:
                var took = ReadTook(frame.Body);
                if (took.Count > 0 && Find(took.Ticket) is { IsQueue: true } queue)
                {
                    queue.Took();
                }

                return;
            case FrameKind.Resolve:
                var nonce = ReadName(frame.Body);
                Begin(frame, isIoctl: false);
                _ = ResolveAsync(frame.Tag, frame.Body.Length, nonce);
                return;
            case FrameKind.Closed:
                var closed = ReadName(frame.Body);
                Begin(frame, isIoctl: false);
                _ = ClosedAsync(frame.Tag, frame.Body.Length, closed);
                return;
            case FrameKind.Discard:
                var claim = ReadName(frame.Body);
                Begin(frame, isIoctl: false);
                _ = DiscardAsync(frame.Tag, frame.Body.Length, claim);
                return;
            case var _ when _byHandle.TryHandle(frame):
                return;
            default:
                throw FrameException.Malformed($"a calls connection has no frames of kind 0x{(byte)frame.Kind:X2}");
        }
    }

    private static (Guid Ticket, uint Count) ReadTook(ReadOnlySpan<byte> body)
    {
        var reader = new FrameReader(body);
        var took = (reader.Name(), (uint)reader.Length(1));
        reader.Reserved(4);
        reader.End();
        return took;
    }

    private static Guid ReadName(ReadOnlySpan<byte> body)
    {
        var reader = new FrameReader(body);
        var name = reader.Name();
        reader.End();
        return name;
    }

    /// <summary>A request is under way from now on.</summary>
    public void Begin(Frame frame, bool isIoctl)
    {
        lock (_lock)
        {
            if (!_underWay.TryAdd(frame.Tag, isIoctl ? null : NotAsked))
            {
                throw FrameException.Malformed($"a request with the tag {frame.Tag} is under way");
            }

            _bytesUnderWay += frame.Body.Length;
            if (_underWay.Count > _contexts.Settings.MaxUnderWay || _bytesUnderWay > _contexts.Settings.MaxBytesUnderWay)
            {
                throw new FrameException(ByeReason.Limit, $"{_underWay.Count} requests with {_bytesUnderWay} bytes are under way, more than is permitted");
            }
        }
    }

    // Only the thread of an ioctl listens for questions.
    private static readonly TaskCompletionSource<MemoryAnswer> NotAsked = new();

    /// <summary>Answers a request.</summary>
    public void Finish<TState>(uint tag, int bytes, TState state, Action<FrameWriter, TState> write)
    {
        lock (_lock)
        {
            _underWay.Remove(tag);
            _bytesUnderWay -= bytes;
        }

        _output.Send(state, write);
    }

    private void Answered(uint tag, MemoryAnswer answer)
    {
        lock (_lock)
        {
            if (_underWay.GetValueOrDefault(tag) is { } asked && asked != NotAsked)
            {
                asked.TrySetResult(answer);
            }
        }
    }

    private Descriptor? Find(Guid ticket) => _contexts.Find(ticket) is { } descriptor && descriptor.IsFor(_peer.Identity) ? descriptor : null;

    private async Task IoctlAsync(uint tag, int bytes, IoctlFrame frame)
    {
        IoctlReply reply;
        string? text = null;
        var claim = default(Guid?);
        List<Guid> emptied = [];
        try
        {
            reply = await RunAsync(frame, emptied);
            if (reply.File is not null)
            {
                claim = _contexts.Hold(Find(frame.Start.Ticket)!.Opened, reply.File);
                lock (_lock)
                {
                    _claims.Add(claim.Value);
                }
            }
        }
        catch (Exception exception) when (exception is IommufdTransportException or IommufdException or OperationCanceledException)
        {
            (reply, text) = (new IoctlReply { Errno = exception is IommufdException { Errno: var errno } ? errno : Errno.EIO }, exception.Message);
        }

        text = frame.Start.IsVerbose ? text ?? reply.Diagnostic?.ToString() : null;
        Finish(
            tag, bytes, (tag, reply, claim, emptied, text),
            static (writer, answer) => IoctlAnswer.Write(writer, answer.tag, answer.reply, answer.claim, answer.emptied, answer.text));
    }

    private async ValueTask<IoctlReply> RunAsync(IoctlFrame frame, List<Guid> emptied)
    {
        if (Find(frame.Start.Ticket) is not { } descriptor)
        {
            return new IoctlReply { Errno = Errno.EBADF };
        }

        // A file that an ioctl has opened has no ioctls.
        if (descriptor.File is not null)
        {
            return new IoctlReply { Errno = Errno.ENOTTY };
        }

        var request = frame.Request;
        if (frame.FileTicket is { } ticket || IoctlTable.Find(request.Command) is { MapsMemory: true })
        {
            request = new IoctlRequest
            {
                Command = request.Command,
                Argument = request.Argument,
                Tail = request.Tail,
                WritableBytes = request.WritableBytes,
                Fault = request.Fault,
                Buffers = request.Buffers,
                File = frame.FileTicket is { } named ? FileOf(Find(named)) : request.File,
                Memory = IoctlTable.Find(request.Command) is { MapsMemory: true } ? _program!.Source : null,
            };
        }

        var reply = await descriptor.Opened.Context.SendAsync(request, CancellationToken.None);

        // Where an ioctl makes events or takes them away, a poll after it sees that.
        if (reply.Errno == Errno.None && (IommuCommand)request.Command is IommuCommand.TestCmd or IommuCommand.Destroy)
        {
            foreach (var queue in descriptor.Opened.Queues)
            {
                if (await queue.LookAsync() is { } gone)
                {
                    emptied.Add(gone);
                }
            }
        }

        return reply.Copy is { } copy && GatewayPrograms.IsElsewhere(copy, _program!) ? CopyElsewhere(reply, copy) : reply;
    }

    private IoctlReply CopyElsewhere(IoctlReply reply, UserCopy copy) => _contexts.Programs.Copy(copy, _program!)
        ? new IoctlReply { ReturnValue = reply.ReturnValue, Argument = reply.Argument, Buffers = reply.Buffers, FailurePoints = reply.FailurePoints }
        : new IoctlReply { Errno = Errno.EFAULT, Diagnostic = new IoctlDiagnostic { Reason = DiagnosticReason.BufferFault, Limit = copy.Memory.Aggregate(0UL, (sum, piece) => sum + piece.Length) } };

    // A context's own descriptor is a file without pages.
    private static UserFile? FileOf(Descriptor? descriptor) => descriptor is null ? null : descriptor.File?.File ?? new UserFile("iommufd", IsMemfd: false, 0);

    private async Task FileAsync(FrameKind kind, uint tag, int bytes, FileFrame frame)
    {
        FileReply reply;
        var takesMark = false;
        string? text = null;
        try
        {
            var descriptor = Find(frame.Start.Ticket);
            reply = descriptor is null ? new FileReply(Errno.EBADF)
                : descriptor.File is null ? new FileReply(Errno.EINVAL)
                : await descriptor.File.RunAsync(frame.Request, CancellationToken.None);
            takesMark = kind == FrameKind.Read && reply.Errno == Errno.None && descriptor!.IsMarked && !await descriptor.IsReadableAsync(TimeSpan.Zero);
        }
        catch (Exception exception) when (exception is IommufdTransportException or IommufdException or OperationCanceledException)
        {
            (reply, text) = (new FileReply(exception is IommufdException { Errno: var errno } ? errno : Errno.EIO), exception.Message);
        }

        text = frame.Start.IsVerbose ? text ?? reply.Diagnostic?.ToString() : null;
        Finish(
            tag, bytes, (kind, tag, reply, takesMark, text),
            static (writer, answer) => FileFrame.WriteAnswer(writer, answer.kind, answer.tag, answer.reply, answer.takesMark, answer.text));
    }

    private async Task ResolveAsync(uint tag, int bytes, Guid nonce)
    {
        var descriptor = await _contexts.ProvedAsync(nonce, ProofPatience);
        descriptor?.Admit(_peer.Identity);
        Finish(tag, bytes, (tag, descriptor), static (writer, answer) =>
        {
            var at = writer.Begin(FrameKind.Resolve | FrameKind.Answer, answer.tag);
            writer.UInt32((uint)(answer.descriptor is null ? Errno.ENOENT : Errno.None));
            writer.Byte(answer.descriptor?.Kind ?? 0);
            writer.Reserved(3);
            writer.Name(answer.descriptor?.Ticket ?? default);
            writer.Finish(at);
        });
    }

    private async Task ClosedAsync(uint tag, int bytes, Guid ticket)
    {
        var descriptor = Find(ticket);
        var isOver = descriptor is null || descriptor.IsOver;
        if (isOver && descriptor is not null)
        {
            await descriptor.Released;
        }

        Finish(tag, bytes, (tag, isOver), static (writer, answer) => WriteNumber(writer, FrameKind.Closed, answer.tag, answer.isOver ? 1u : 0));
    }

    private async Task DiscardAsync(uint tag, int bytes, Guid claim)
    {
        var isKnown = await _contexts.DiscardAsync(claim);
        Finish(tag, bytes, (tag, isKnown), static (writer, answer) => WriteNumber(writer, FrameKind.Discard, answer.tag, (uint)(answer.isKnown ? Errno.None : Errno.ENOENT)));
    }

    private static void WriteNumber(FrameWriter writer, FrameKind kind, uint tag, uint value)
    {
        var at = writer.Begin(kind | FrameKind.Answer, tag);
        writer.UInt32(value);
        writer.Reserved(4);
        writer.Finish(at);
    }

    // What was opened for a program that has gone before it took it.
    private async Task DiscardAllAsync()
    {
        Guid[] claims;
        lock (_lock)
        {
            claims = [.. _claims];
            foreach (var asked in _underWay.Values)
            {
                if (asked != NotAsked)
                {
                    asked?.TrySetResult(new MemoryAnswer(IsKnown: false));
                }
            }
        }

        foreach (var claim in claims)
        {
            await _contexts.DiscardAsync(claim);
        }
    }
}
