using IommuFd.GrainInterfaces;
using IommuFd.GrainInterfaces.Wire;
using IommuFd.Silo.Gateway.Descriptors;
using IommuFd.Silo.Gateway.Programs;
using IommuFd.Uapi;

namespace IommuFd.Silo.Gateway;

// This file has the frames and which requests are under way. .Requests.cs has how those of a context run.

/// <summary>A connection on which a program issues requests.</summary>
internal sealed partial class CallsConnection(GatewayContexts contexts, FrameOutput output, GatewayPeer peer, Hello hello)
{
    private static readonly TimeSpan LookPatience = TimeSpan.FromMilliseconds(900);

    private static readonly TimeSpan ProofPatience = TimeSpan.FromSeconds(1);

    private readonly Lock _lock = new();
    private readonly Dictionary<uint, TaskCompletionSource<MemoryAnswer>?> _underWay = [];
    private HandleRequests? _byHandle;
    private readonly HoldingProcess _process = HoldingProcess.Of(peer.Process);
    private GatewayProgram? _program;
    private readonly IdentityUse _use = contexts.Uses.Of(peer.Identity);
    private long _bytesUnderWay;

    public async Task RunAsync(FrameInput input)
    {
        _program = contexts.Programs.Join(peer, hello.Program, this);
        _byHandle = new HandleRequests(contexts, this, peer);
        try
        {
            while (await input.ReadAsync(Handle, int.MaxValue, CancellationToken.None))
            {
                BeginQueued();
            }
        }
        finally
        {
            // What stands before a malformed frame.
            BeginQueued();
            contexts.Programs.Leave(peer.Identity, hello.Program, _program, this);
            Unasked();
            await contexts.DiscardAllAsync(this);
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

        output.Send((tag, pieces), static (writer, question) => LookFrame.Write(writer, question.tag, question.pieces));
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
        if (!peer.IsLocal && !HandleRequests.Has(frame.Kind))
        {
            throw new FrameException(ByeReason.NotPermitted, $"frames of kind 0x{(byte)frame.Kind:X2} are not for clients by TCP, which have requests by handle only");
        }

        switch (frame.Kind)
        {
            case FrameKind.Ioctl:
                var ioctl = IoctlFrame.Read(frame.Body);
                Begin(frame, isIoctl: true);
                Queue(new Request(frame.Kind, frame.Tag, frame.Body.Length, Hold(ioctl.Start.Ticket), ioctl.Start, ioctl, null));
                return;
            case FrameKind.Read or FrameKind.Write:
                var file = FileFrame.Read(frame.Body, frame.Kind == FrameKind.Write);
                Begin(frame, isIoctl: false);
                Queue(new Request(frame.Kind, frame.Tag, frame.Body.Length, Hold(file.Start.Ticket), file.Start, null, file.Request));
                return;
            case FrameKind.DeviceRead or FrameKind.DeviceWrite or FrameKind.DeviceMap:
                var device = DeviceFrame.Read(frame.Kind, frame.Body);
                Begin(frame, isIoctl: false);
                Queue(new Request(frame.Kind, frame.Tag, frame.Body.Length, Hold(device.Ticket), default, null, null) { Device = device });
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
            case FrameKind.Pinned:
                var process = ReadProcess(frame.Body);
                Begin(frame, isIoctl: false);
                _ = PinnedAsync(frame.Tag, frame.Body.Length, process == 0 ? peer.Process : process);
                return;
            case var _ when _byHandle!.TryHandle(frame):
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

    private static int ReadProcess(ReadOnlySpan<byte> body)
    {
        var reader = new FrameReader(body);
        var process = reader.Length(int.MaxValue);
        reader.Reserved(4);
        reader.End();
        return process;
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
            if (_underWay.Count > contexts.Settings.MaxUnderWay || _bytesUnderWay > contexts.Settings.MaxBytesUnderWay)
            {
                throw new FrameException(ByeReason.Limit, $"{_underWay.Count} requests with {_bytesUnderWay} bytes are under way, more than is permitted");
            }

            _use.Begin(frame.Body.Length);
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
            _use.End(1, bytes);
        }

        output.Send(state, write);
    }

    private void Finish<TState>(Request request, TState state, Action<FrameWriter, TState> write) => Finish(request.Tag, request.Bytes, state, write);

    private void Finish<TState>(List<Request> requests, TState state, Action<FrameWriter, TState> write)
    {
        lock (_lock)
        {
            foreach (var request in requests)
            {
                _underWay.Remove(request.Tag);
                _bytesUnderWay -= request.Bytes;
                _use.End(1, request.Bytes);
            }
        }

        output.Send(state, write);
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

    // For a request, whose end releases it.
    private Descriptor? Hold(Guid ticket) => Find(ticket) is { } descriptor && descriptor.TryBegin() ? descriptor : null;

    private Descriptor? Find(Guid ticket)
    {
        if (contexts.Find(ticket) is not { } descriptor || !descriptor.IsFor(peer.Identity))
        {
            return null;
        }

        contexts.Holders.Note(descriptor, _process);
        return descriptor;
    }

    private async Task ResolveAsync(uint tag, int bytes, Guid nonce)
    {
        var descriptor = await contexts.ProvedAsync(nonce, ProofPatience);
        if (descriptor is not null)
        {
            descriptor.Admit(peer.Identity);
            contexts.Holders.Note(descriptor, _process);
        }

        var resumption = descriptor is null ? new byte[HandleSeal.ResumptionBytes] : contexts.Files.ResumptionOf(peer.Identity, descriptor.Leads);
        Finish(tag, bytes, (tag, descriptor, resumption), static (writer, answer) =>
        {
            var at = writer.Begin(FrameKind.Resolve | FrameKind.Answer, answer.tag);
            writer.UInt32((uint)(answer.descriptor is null ? Errno.ENOENT : Errno.None));
            writer.Byte(answer.descriptor?.Kind ?? 0);
            writer.Reserved(1);
            writer.UInt16(answer.descriptor?.Leads.Number ?? 0);
            writer.Name(answer.descriptor?.Ticket ?? default);
            writer.Bytes(answer.resumption);
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
        else if (descriptor is not null)
        {
            contexts.Holders.Closed(descriptor, _process);
        }

        Finish(tag, bytes, (tag, isOver), static (writer, answer) => WriteNumber(writer, FrameKind.Closed, answer.tag, answer.isOver ? 1u : 0));
    }

    private async Task DiscardAsync(uint tag, int bytes, Guid claim)
    {
        var isKnown = await contexts.DiscardAsync(claim);
        Finish(tag, bytes, (tag, isKnown), static (writer, answer) => WriteNumber(writer, FrameKind.Discard, answer.tag, (uint)(answer.isKnown ? Errno.None : Errno.ENOENT)));
    }

    private async Task PinnedAsync(uint tag, int bytes, int process)
    {
        var (pinned, locked) = await contexts.PinnedAsync(process);
        Finish(tag, bytes, (tag, pinned, locked), static (writer, answer) =>
        {
            var at = writer.Begin(FrameKind.Pinned | FrameKind.Answer, answer.tag);
            writer.UInt64((ulong)answer.pinned);
            writer.UInt64((ulong)answer.locked);
            writer.Finish(at);
        });
    }

    private static void WriteNumber(FrameWriter writer, FrameKind kind, uint tag, uint value)
    {
        var at = writer.Begin(kind | FrameKind.Answer, tag);
        writer.UInt32(value);
        writer.Reserved(4);
        writer.Finish(at);
    }

    // The program has gone: nobody answers what it is asked.
    private void Unasked()
    {
        lock (_lock)
        {
            foreach (var asked in _underWay.Values)
            {
                if (asked != NotAsked)
                {
                    asked?.TrySetResult(new MemoryAnswer(IsKnown: false));
                }
            }
        }
    }
}
