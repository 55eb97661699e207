using IommuFd.GrainInterfaces;
using IommuFd.Grains.Calls;
using IommuFd.Grains.Configuration;
using IommuFd.Grains.Dispatch;
using IommuFd.Grains.Inspection;
using IommuFd.Grains.Journaling;
using IommuFd.Grains.Model;
using IommuFd.Grains.Monitoring;
using IommuFd.Grains.Telemetry;
using IommuFd.Uapi;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;
using Orleans.Serialization;

namespace IommuFd.Grains.Contexts;

// A context as a grain: it puts the calls of its clients in order and leaves every decision to the ContextModel and the
// handlers. Never idle-collected while open; a grain whose handle names no open context goes as soon as it has said so, so that
// guessing handles leaves nothing behind.
//
// A durable context answers nothing before it is in the journal, or before the journal has confirmed that this activation is still the context's. Where
// that fails, this activation knows more than is written, or less: it leaves without an answer, and the next one begins with what is written.
// .Tracing.cs is where requests come in; .Durability.cs has the journal, .Life.cs what begins and ends with the context, .Handover.cs how it moves to another silo, .Monitoring.cs
// what people see of it.

/// <inheritdoc cref="IContextGrain"/>
[KeepAlive]
internal sealed partial class ContextGrain(
    ILogger<ContextGrain> logger,
    TimeProvider time,
    IOptions<ContextOptions> options,
    Serializer serializer,
    ContextQuota? census = null,
    IJournal? journal = null,
    ContextDirectory? directory = null,
    SiloStatistics? statistics = null,
    TurnTelemetry? telemetry = null) : Grain, IContextGrain
{
    private ContextModel? _context;
    private ObjectGrains? _grains;

    private ContextHandle Handle => new(this.GetPrimaryKey());

    private IoctlScope Scope => new(_context!, _grains!);

    public async Task<ReferenceReply> OpenAsync(OpenRequest request)
    {
        if (_context is null && Obstacle() is { Reason: not DiagnosticReason.ContextNotOpen } failure)
        {
            LeaveUnlessOpen();
            return Refused(failure);
        }

        var mode = request.Mode ?? options.Value.DefaultMode;
        if (_context is null && mode == ContextMode.Volatile && directory is { IsClosed: true })
        {
            throw Abandon("its silo stops");
        }

        var context = _context ?? new ContextModel();
        if (!context.IsOpen && (Count(request.Client) ?? (mode == ContextMode.Durable ? await BeginJournalAsync() : null)) is { } refusal)
        {
            LeaveUnlessOpen();
            return refusal;
        }

        var (wasOpen, now) = (context.IsOpen, time.GetUtcNow().UtcTicks);
        var reply = context.Open(mode, request.Name, request.Session, now);
        if (reply.Errno == Errno.None && !wasOpen)
        {
            _context = context;

            // The clock makes the epochs of a volatile handle's lives grow from one activation to the next.
            _grains ??= new ObjectGrains(GrainFactory, Handle, _journal?.ObjectEpoch ?? now, logger);
            await LastAsync(new OpenRecord(request, reply) { OpenedTicks = now });
            Begin();
            logger.ContextOpened(Handle.ToShortString(), mode, request.Name);
        }
        else if (wasOpen)
        {
            await LastAsync(null);
        }

        LeaveUnlessOpen();
        return WithLease(reply);
    }

    private ValueTask<IoctlReply> IoctlTurnAsync(IoctlRequest request)
    {
        if (_context is not { AnswersIoctls: true } context)
        {
            return ValueTask.FromResult(Counted(request, Reply(NotOpen())));
        }

        var (operation, begun) = (request?.Operation ?? default, time.GetTimestamp());
        if (!TryBegin(context, operation, begun, out var reference, out var answer, out var failure))
        {
            return failure is null ? AgainAsync((IoctlReply)answer!) : ValueTask.FromResult(Recorded(request, Reply(failure), begun));
        }

        if (request?.Buffers is not null && WireSize.Of(request) is var bytes && bytes > options.Value.MaxRequestBytes)
        {
            var refusal = Failure.Reply(Errno.E2BIG, DiagnosticReason.RequestTooLarge, (ulong)bytes, (ulong)options.Value.MaxRequestBytes);
            return ValueTask.FromResult(Recorded(request, refusal, begun));
        }

        var running = IoctlDispatcher.DispatchAsync(Scope, request!);
        if (_journal is not null || !running.IsCompletedSuccessfully)
        {
            return FinishAsync(running, reference, request!, begun);
        }

        var reply = running.Result;
        if (reference is not null && (operation.IsRepeat || IoctlDispatcher.Changes(request!, reply)))
        {
            reference.Replies.Keep(operation.Sequence, reply);
        }

        return ValueTask.FromResult(Recorded(request, reply, begun));
    }

    private async ValueTask<IoctlBatchReply> IoctlBatchTurnAsync(IoctlBatchRequest request)
    {
        if (_context is not { AnswersIoctls: true } context)
        {
            return BatchReply(NotOpen());
        }

        if (request.Requests.Length > IoctlLimits.MaxBatch)
        {
            return BatchReply(TooLarge(request.Requests.Length, IoctlLimits.MaxBatch));
        }

        if (WireSize.Of(request.Requests) is var bytes && bytes > options.Value.MaxRequestBytes)
        {
            return BatchReply(TooLarge(bytes, options.Value.MaxRequestBytes));
        }

        var begun = time.GetTimestamp();
        if (!TryBegin(context, request.Operation, begun, out var reference, out var answer, out var failure))
        {
            return failure is null ? await AgainAsync((IoctlBatchReply)answer!) : BatchReply(failure);
        }

        var reply = await ContextOperations.BatchAsync(Scope, request);
        var lasts = request.Operation.IsRepeat || ContextOperations.Changes(request, reply);
        if (_journal is not null)
        {
            await LastAsync(lasts ? new BatchRecord(request, reply) : null);
        }

        if (lasts)
        {
            reference?.Replies.Keep(request.Operation.Sequence, reply);
        }

        _monitored?.Record(request, reply, begun);
        return reply;

        static IoctlDiagnostic TooLarge(long value, int limit) => Failure.Because(DiagnosticReason.RequestTooLarge, (ulong)value, (ulong)limit);

        static IoctlBatchReply BatchReply(IoctlDiagnostic failure) => new() { Errno = ErrnoOf(failure), Diagnostic = failure };
    }

    public async Task<ReferenceReply> GetAsync(GetRequest request)
    {
        if (_context is not { } context)
        {
            return Refused(NotOpen());
        }

        var references = context.References.Count;
        var reply = context.Get(request.Kind, request.Name, request.Session);
        await LastAsync(context.References.Count > references ? new GetRecord(request, reply) : null);
        if (context.Find(reply.Reference) is { } reference)
        {
            reference.LastSign = time.GetTimestamp();
        }

        return WithLease(reply);
    }

    public async Task<PutReply> PutAsync(ReferenceId reference)
    {
        if (_context is null)
        {
            if (_lastWords is { } words && words.Reference == reference)
            {
                LeaveUnlessOpen();
                return words.Reply;
            }

            var failure = NotOpen();
            return new PutReply(ErrnoOf(failure), null, failure);
        }

        return await PutAsync(_context, reference);
    }

    private async ValueTask<DriverReply> DriverTurnAsync(ReferenceId reference, DriverRequest request, OperationId operation)
    {
        if (_context is not { } context)
        {
            var closed = NotOpen();
            return new DriverReply(ErrnoOf(closed), Diagnostic: closed);
        }

        if (!TryBegin(context, operation, time.GetTimestamp(), out var session, out var answer, out var failure))
        {
            return failure is null ? await AgainAsync((DriverReply)answer!) : new DriverReply(ErrnoOf(failure), Diagnostic: failure);
        }

        var reply = await DriverHandler.RunAsync(Scope, reference, request);
        var lasts = operation.IsRepeat || (reply.Errno == Errno.None && request is not AccessRwRequest);
        if (_journal is not null)
        {
            await LastAsync(lasts ? new DriverRecord(reference, request, operation, reply) : null);
        }

        if (lasts)
        {
            session?.Replies.Keep(operation.Sequence, reply);
        }

        return reply;
    }

    public Task<HolderGraph> InspectGraphAsync(GraphRequest request)
        => Task.FromResult(_context is { } context ? GraphWalker.Walk(context, request) : new HolderGraph { Errno = ErrnoOf(NotOpen()) });

    public Task<ContextInspection> InspectAsync(InspectRequest request, CancellationToken cancellationToken)
        => _context is { } context
            ? ContextInspector.InspectAsync(context, _grains!, RuntimeIdentity, request, cancellationToken)
            : Task.FromResult(new ContextInspection { Errno = ErrnoOf(NotOpen()) });

    public Task<ObjectInspection?> InspectObjectAsync(ObjectId id, StatePage page)
    {
        if (_context is not { } context)
        {
            LeaveUnlessOpen();
            return Task.FromResult<ObjectInspection?>(null);
        }

        return ContextInspector.InspectObjectAsync(context, _grains!, id, page);
    }

    private async ValueTask<IoctlReply> FinishAsync(ValueTask<IoctlReply> running, ContextReference? reference, IoctlRequest request, long begun)
    {
        var reply = await running;
        var lasts = IoctlDispatcher.Changes(request, reply) || request is { Operation.IsRepeat: true };
        if (_journal is not null)
        {
            await LastAsync(lasts ? new IoctlRecord(request, reply) : null);
        }

        if (lasts)
        {
            reference?.Replies.Keep(request.Operation.Sequence, reply);
        }

        return Recorded(request, reply, begun, hasWaited: true);
    }

    private async Task<PutReply> PutAsync(ContextModel context, ReferenceId reference)
    {
        var errno = await ContextOperations.PutAsync(Scope, reference);
        if (context.IsOpen || errno != Errno.None)
        {
            await LastAsync(errno == Errno.None ? new PutRecord(reference) : null);
            return new PutReply(errno, null, errno == Errno.None ? null : Failure.Because(DiagnosticReason.ReferenceNotFound));
        }

        return await ReleaseAsync(context, _grains!, reference);
    }

    // The context is gone for everybody before its objects' grains are ended, so that an inspection in between sees all or nothing.
    private async Task<PutReply> ReleaseAsync(ContextModel context, ObjectGrains grains, ReferenceId last)
    {
        _context = null;
        var (destroyed, stuck) = context.Objects.Release();
        foreach (var entry in stuck)
        {
            logger.ObjectStuck(Handle.ToShortString(), entry.Type, entry.Id, entry.Users, string.Join(", ", (object[])entry.DescribeHolders(IoctlLimits.MaxListed)));
        }

        var reply = new PutReply(Errno.None, new ReleaseReport(destroyed.Count, Refs(destroyed), Refs(stuck)), null);
        await EndJournalAsync(new ReleasedReply(last, reply));
        await grains.DestroyAllAsync();
        _grains = null;
        CountNoMore();
        logger.ContextReleased(Handle.ToShortString(), destroyed.Count, stuck.Count);
        LeaveUnlessOpen();
        return reply;

        static ObjectRef[] Refs(List<ObjectEntry> entries) => [.. entries.Take(IoctlLimits.MaxListed).Select(entry => entry.Ref)];
    }

    private static IoctlReply Reply(IoctlDiagnostic failure) => new() { Errno = ErrnoOf(failure), Diagnostic = failure };

    private ReferenceReply Refused(IoctlDiagnostic failure) => new(ErrnoOf(failure), default, default, _context?.Mode ?? default, failure);

    private ReferenceReply WithLease(ReferenceReply reply) => reply.Errno == Errno.None ? reply with { Lease = options.Value.Lease } : reply;

    private void LeaveUnlessOpen()
    {
        if (_context is null)
        {
            DeactivateOnIdle();
        }
    }
}
