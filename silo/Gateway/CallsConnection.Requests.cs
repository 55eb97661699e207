using IommuFd.Client;
using IommuFd.GrainInterfaces;
using IommuFd.GrainInterfaces.Wire;
using IommuFd.Silo.Gateway.Descriptors;
using IommuFd.Silo.Gateway.Programs;
using IommuFd.Uapi;

namespace IommuFd.Silo.Gateway;

// The requests of a context run, and are answered, in the order in which they came. Orleans does not keep the order of calls whose grain it has yet to find, so one call of a
// context is under way. What comes meanwhile, or at once, waits, and then its ioctls go together in one call, which is one turn, and their answers in one send.

internal sealed partial class CallsConnection
{
    private const int MaxTogether = 64;

    // A request's part of a call with others, in bytes: what is larger goes alone.
    private const int MaxBytesTogether = 64 * 1024;

    // Those that wait, for each context that has some or a call under way.
    private readonly Dictionary<OpenedContext, Queue<Request>> _waiting = [];

    // The contexts that have some and no call under way. Only the connection's reader knows them.
    private readonly List<OpenedContext> _toBegin = [];

    private void Queue(Request request)
    {
        if (request.Descriptor is not { } descriptor)
        {
            _ = AloneAsync(request);
            return;
        }

        lock (_lock)
        {
            if (!_waiting.TryGetValue(descriptor.Opened, out var waiting))
            {
                _waiting.Add(descriptor.Opened, waiting = []);
                _toBegin.Add(descriptor.Opened);
            }

            waiting.Enqueue(request);
        }
    }

    /// <summary>Begins what has come together.</summary>
    private void BeginQueued()
    {
        foreach (var opened in _toBegin)
        {
            _ = RunAsync(opened);
        }

        _toBegin.Clear();
    }

    private async Task RunAsync(OpenedContext opened)
    {
        while (TakeNext(opened) is { } next)
        {
            // A connection that takes no more answers fails them, and those behind them run all the same.
            await (next.Count == 1 ? AloneAsync(next[0]) : TogetherAsync(opened, next)).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            next.ForEach(request => request.Descriptor?.End());
        }
    }

    /// <summary>What runs next: ioctls that stand together, or one other request. Null for nothing.</summary>
    private List<Request>? TakeNext(OpenedContext opened)
    {
        lock (_lock)
        {
            if (_waiting[opened] is not { Count: > 0 } waiting)
            {
                _waiting.Remove(opened);
                return null;
            }

            List<Request> next = [waiting.Dequeue()];
            while (contexts.Recording is null && next[0].GoesTogether && next.Count < MaxTogether && waiting.TryPeek(out var more) && more.GoesTogether)
            {
                next.Add(waiting.Dequeue());
            }

            return next;
        }
    }

    private Task AloneAsync(Request request) => contexts.Recording is { } recording ? recording.RunAsync(() => RunAsync(request)) : RunAsync(request);

    private Task RunAsync(Request request)
    {
        if (request.Ioctl is { } ioctl)
        {
            return IoctlAsync(request, ioctl);
        }

        if (request.Device is not { } device)
        {
            return FileAsync(request);
        }

        if (request.Kind != FrameKind.DeviceMap)
        {
            return DeviceFileAsync(request, device);
        }

        Map(request, device);
        return Task.CompletedTask;
    }

    private async Task TogetherAsync(OpenedContext opened, List<Request> requests)
    {
        IoctlReply[] replies;
        string? text = null;
        List<Guid> emptied = [];
        var looks = -1;
        try
        {
            var reply = await opened.Context!.SendBatchAsync([.. requests.Select(request => RequestOf(request.Ioctl!))], stopAtFirstError: false, CancellationToken.None);
            if (reply.Errno != Errno.None)
            {
                // Their answers could be more than one call carries, or the context is no more: nothing of it has run.
                foreach (var request in requests)
                {
                    await AloneAsync(request);
                }

                return;
            }

            replies = reply.Replies;
            for (var i = 0; i < replies.Length; i++)
            {
                looks = ChangesQueues(requests[i].Ioctl!.Request, replies[i]) ? i : looks;
            }

            if (looks >= 0)
            {
                await LookAsync(opened, emptied);
            }

            foreach (var request in requests)
            {
                await FenceAsync(opened, request.Ioctl!.Request);
            }
        }
        catch (Exception exception)
        {
            NoteUnexpected(exception);
            text = exception.Message;
            replies = [.. requests.Select(_ => new IoctlReply { Errno = ErrnoOf(exception) })];
        }

        Finish(
            requests, replies.Select((reply, i) => OutcomeOf(requests[i], reply, i == looks ? emptied : [], text)).ToArray(),
            static (writer, outcomes) =>
            {
                foreach (var outcome in outcomes)
                {
                    outcome.Write(writer);
                }
            });
    }

    private async Task IoctlAsync(Request request, IoctlFrame frame)
    {
        IoctlReply reply;
        string? text = null;
        List<Guid> emptied = [];
        try
        {
            reply = request.Descriptor is not { } descriptor ? new IoctlReply { Errno = Errno.EBADF }
                : descriptor.Leads is { IsOfDevices: true } file ? await DeviceIoctlAsync(file, frame)

                // A file that an ioctl has opened has no ioctls.
                : descriptor.File is not null ? new IoctlReply { Errno = Errno.ENOTTY }
                : descriptor.Opened.Pages.HeldAgainst(frame.Request) is { } viommu ? new IoctlReply { Errno = Errno.EBUSY, Diagnostic = PagesMapped(viommu) }
                : await descriptor.Opened.Context!.SendAsync(RequestOf(frame), request.Given, CancellationToken.None);
            if (ChangesQueues(frame.Request, reply))
            {
                await LookAsync(request.Descriptor!.Opened, emptied);
            }

            await (request.Descriptor is null ? Task.CompletedTask : FenceAsync(request.Descriptor.Opened, frame.Request));
        }
        catch (Exception exception)
        {
            NoteUnexpected(exception);
            (reply, text) = (new IoctlReply { Errno = ErrnoOf(exception) }, exception.Message);
        }

        Finish(request, OutcomeOf(request, reply, emptied, text), static (writer, outcome) => outcome.Write(writer));
    }

    private Outcome OutcomeOf(Request request, IoctlReply reply, List<Guid> emptied, string? text)
    {
        var copies = reply.Copy;
        reply = copies is not null && GatewayPrograms.IsElsewhere(copies, _program!) ? CopyElsewhere(reply, copies) : reply;
        if (request.Descriptor is { File: null, Leads.IsOfDevices: false } descriptor)
        {
            descriptor.Opened.Pages.Note(request.Ioctl!.Request, reply);
            contexts.Recording?.Ioctl(descriptor.Opened.Handle.Key, RequestOf(request.Ioctl!), reply, copies, copy => contexts.Programs.Content(copy, _program!));
        }

        return new Outcome(
            request.Tag, reply, reply.File is null ? null : contexts.Hold(request.Descriptor!.Opened, reply.File, this), emptied,
            text ?? (request.IsVerbose ? reply.Diagnostic?.ToString() : null));
    }

    private IoctlReply CopyElsewhere(IoctlReply reply, UserCopy copy) => contexts.Programs.Copy(copy, _program!)
        ? new IoctlReply { ReturnValue = reply.ReturnValue, Argument = reply.Argument, Buffers = reply.Buffers, FailurePoints = reply.FailurePoints }
        : new IoctlReply { Errno = Errno.EFAULT, Diagnostic = new IoctlDiagnostic { Reason = DiagnosticReason.BufferFault, Limit = copy.Memory.Aggregate(0UL, (sum, piece) => sum + piece.Length) } };

    private IoctlRequest RequestOf(IoctlFrame frame)
    {
        var request = frame.Request;
        var mapsMemory = IoctlTable.Find(request.Command) is { MapsMemory: true };
        var limits = mapsMemory || request.Command == (uint)IommuCommand.Option ? contexts.Programs.Locked.LimitsOf(peer.Process) : CallerLimits.None;
        return frame.FileTicket is null && !mapsMemory && limits == CallerLimits.None ? request : new IoctlRequest
        {
            Command = request.Command,
            Argument = request.Argument,
            Tail = request.Tail,
            WritableBytes = request.WritableBytes,
            Fault = request.Fault,
            Buffers = request.Buffers,
            File = frame.FileTicket is { } named ? FileOf(Find(named)) : request.File,
            Memory = mapsMemory ? _program!.Name() : null,
            Limits = limits,
        };
    }

    // A context's own descriptor is a file without pages.
    private static UserFile? FileOf(Descriptor? descriptor) => descriptor is null ? null : descriptor.Leads.DmaBuf?.File ?? descriptor.File?.File ?? new UserFile("iommufd", IsMemfd: false, 0);

    private static bool ChangesQueues(IoctlRequest request, IoctlReply reply)
        => reply.Errno == Errno.None && (IommuCommand)request.Command is IommuCommand.TestCmd or IommuCommand.Destroy;

    // Where an ioctl makes events or takes them away, a poll after it sees that.
    private static async Task LookAsync(OpenedContext opened, List<Guid> emptied)
    {
        foreach (var queue in opened.Queues)
        {
            if (await queue.LookAsync() is { } gone)
            {
                emptied.Add(gone);
            }
        }
    }

    private async Task FileAsync(Request request)
    {
        FileReply reply;
        var takesMark = false;
        string? text = null;
        try
        {
            reply = request.Descriptor is not { } descriptor ? new FileReply(Errno.EBADF)
                : descriptor.File is null ? new FileReply(Errno.EINVAL)
                : await descriptor.File.RunAsync(request.File!, request.Given, CancellationToken.None);
            takesMark = request.Kind == FrameKind.Read && reply.Errno == Errno.None && request.Descriptor!.IsMarked && !await request.Descriptor.IsReadableAsync(TimeSpan.Zero);
        }
        catch (Exception exception)
        {
            NoteUnexpected(exception);
            (reply, text) = (new FileReply(ErrnoOf(exception)), exception.Message);
        }

        if (request.Descriptor?.File is { } file)
        {
            contexts.Recording?.Transferred(file.Target, request.File!, reply);
        }

        text = text ?? (request.IsVerbose ? reply.Diagnostic?.ToString() : null);
        Finish(
            request, (request.Kind, request.Tag, reply, takesMark, text),
            static (writer, answer) => FileFrame.WriteAnswer(writer, answer.Kind, answer.Tag, answer.reply, answer.takesMark, answer.text));
    }

    // Every request is answered, whatever has happened.
    private void NoteUnexpected(Exception exception)
    {
        if (exception is not (IommufdTransportException or IommufdException or OperationCanceledException))
        {
            contexts.NoteFailure(exception);
        }
    }

    private static Errno ErrnoOf(Exception exception) => exception is IommufdException { Errno: var errno } ? errno : Errno.EIO;

    /// <summary>What an ioctl is answered.</summary>
    private readonly record struct Outcome(uint Tag, IoctlReply Reply, Guid? Claim, List<Guid> Emptied, string? Text)
    {
        public void Write(FrameWriter writer) => IoctlAnswer.Write(writer, Tag, Reply, Claim, Emptied, Text);
    }

    /// <summary>An ioctl, a read or a write, with the descriptor that its ticket names, which it holds; null for none that this client may use.</summary>
    private sealed record Request(FrameKind Kind, uint Tag, int Bytes, Descriptor? Descriptor, CallStart Start, IoctlFrame? Ioctl, FileRequest? File)
    {
        public bool IsVerbose => Start.IsVerbose;

        /// <summary>A read, a write or a mapping of a device file; null for other requests.</summary>
        public DeviceFrame? Device { get; init; }

        /// <summary>The name that the program has given it, within the descriptor's session: what the frame calls a session is a lane of that.</summary>
        public OperationId Given => Start.Operation with { Session = 0, Lane = Start.Operation.Session };

        // A batch has one name for all.
        public bool GoesTogether => Ioctl is not null && Start.Operation.Session == 0 && Descriptor is { Leads: { File: null, IsOfDevices: false } } && Bytes <= MaxBytesTogether
            && (Descriptor.Opened.Pages.IsEmpty || Ioctl.Request.Command != (uint)IommuCommand.Destroy);
    }
}
