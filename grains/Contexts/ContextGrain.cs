using IommuFd.GrainInterfaces;
using IommuFd.Grains.Calls;
using IommuFd.Grains.Configuration;
using IommuFd.Grains.Dispatch;
using IommuFd.Grains.Journaling;
using IommuFd.Grains.Model;
using IommuFd.Grains.Monitoring;
using IommuFd.Grains.Proofs;
using IommuFd.Grains.Telemetry;
using IommuFd.Uapi;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;
using Orleans.Serialization;

namespace IommuFd.Grains.Contexts;

// A context as a grain: it puts the calls of its clients in order and leaves every decision to the ContextModel and the handlers.
//
// A request is one turn: it begins (a repeat gets its first answer, a settled request is refused), runs, and ends (EndTurnAsync). What makes
// its answer durable is ContextTurnJournal's.
//
// This file has the turns. .Tracing.cs has their entry points, .Life.cs how the context starts and ends on a silo, .Leases.cs when its
// references end, .Handover.cs how it moves to another silo, .Monitoring.cs what people see of it and what operators do.

/// <inheritdoc cref="IContextGrain"/>
[KeepAlive]
internal sealed partial class ContextGrain(
    ILogger<ContextGrain> logger,
    TimeProvider time,
    IOptions<ContextOptions> options,
    Serializer serializer,
    ContextQuota quota,
    AbandonedContexts abandoned,
    ContextDirectory directory,
    SiloStatistics statistics,
    TurnTelemetry telemetry,
    SiloProofs proofs,
    NearObjects near,
    IJournal? siloJournal = null) : Grain, IContextGrain
{
    // The handle that a call has proven to be this context's: comparing costs less than hashing.
    private ContextHandle? _handle;

    private ContextKey Key => new(this.GetPrimaryKey());

    private ObjectReach Reach => new(GrainFactory, proofs.Own, near);

    private IoctlScope Scope => new(_context!, _grains!, _programs);

    // Whether a call's handle is this context's. If not, the call is answered as if the context were not open.
    private bool Admits(ContextHandle handle)
    {
        if (_handle is { } known)
        {
            return handle == known;
        }

        if (handle.Key != Key)
        {
            return false;
        }

        _handle = handle;
        return true;
    }

    private ValueTask<IoctlReply> IoctlTurnAsync(bool isAdmitted, IoctlRequest request, OperationId operation)
    {
        if (OpenFor(isAdmitted) is not { AnswersIoctls: true } context)
        {
            return ValueTask.FromResult(Counted(request, Reply(NotOpen(isAdmitted))));
        }

        if (TryAnswer(context, request, operation, out var turn, out var hasRun) is { } answer)
        {
            return hasRun ? _journal.ReplayReplyAsync(answer, Scope) : ValueTask.FromResult(answer);
        }

        var ioctl = new IoctlTurn(request);
        var running = IoctlDispatcher.DispatchAsync(Scope, request);
        if (_journal.IsDurable || !running.IsCompletedSuccessfully)
        {
            return EndTurnAsync(turn, ioctl, running);
        }

        // Most ioctls of a volatile context wait for nothing: their turns end here, without a state machine.
        var reply = running.Result;
        return ValueTask.FromResult(Finish(turn, ioctl, reply, isKept: turn.Reference is not null && IsKept(turn, ioctl, reply), hasWaited: false));
    }

    /// <summary>Begins the turn of an ioctl, unless it must not run.</summary>
    /// <param name="context">The context.</param>
    /// <param name="request">The ioctl.</param>
    /// <param name="operation">Its id.</param>
    /// <param name="turn">The turn.</param>
    /// <param name="hasRun">Whether it has run before.</param>
    /// <returns>What it was answered before, or why it is refused; null where it is to run.</returns>
    private IoctlReply? TryAnswer(ContextModel context, IoctlRequest? request, in OperationId operation, out Turn turn, out bool hasRun)
    {
        // A client that sends no request at all gets EFAULT each time: there is nothing to keep or to journal.
        hasRun = !TryBegin(context, request?.OperationOf(operation) ?? default, out turn, out var answer, out var failure) && failure is null;
        if (hasRun)
        {
            return (IoctlReply)answer!;
        }

        if (failure is not null)
        {
            return Recorded(request, Reply(failure), turn.Begun);
        }

        return request is { Buffers: not null } or { File: not null } && WireSize.Of(request) is var bytes && bytes > options.Value.MaxRequestBytes
            ? Recorded(request, Failure.Reply(Errno.E2BIG, DiagnosticReason.RequestTooLarge, (ulong)bytes, (ulong)options.Value.MaxRequestBytes), turn.Begun)
            : null;
    }

    private ValueTask<IoctlBatchReply> IoctlBatchTurnAsync(bool isAdmitted, IoctlBatchRequest request, OperationId operation)
    {
        if (OpenFor(isAdmitted) is not { AnswersIoctls: true } context)
        {
            return BatchReply(NotOpen(isAdmitted));
        }

        if (request?.Requests is not { } requests)
        {
            return NoRequests();
        }

        if (WhyTooMuch(requests) is { } refusal)
        {
            return BatchReply(refusal);
        }

        if (!TryBegin(context, request.OperationOf(operation), out var turn, out var answer, out var failure))
        {
            return failure is null ? _journal.ReplayReplyAsync(BatchParts.First(request, (IoctlBatchReply)answer!), Scope) : BatchReply(failure);
        }

        // Only an answer that is kept can be asked for in parts.
        var batch = new BatchTurn(request, TakesParts: request.TakesParts && turn.Reference is not null);
        var running = EndTurnAsync(turn, batch, ContextOperations.BatchAsync(Scope, request));
        return batch.TakesParts ? FirstPartAsync(request, running) : running;

        static async ValueTask<IoctlBatchReply> FirstPartAsync(IoctlBatchRequest request, ValueTask<IoctlBatchReply> running) => BatchParts.First(request, await running);
    }

    // Why ioctls ask too much of one turn; null where they don't.
    private IoctlDiagnostic? WhyTooMuch(IoctlRequest[] requests)
        => requests.Length > IoctlLimits.MaxBatch ? Failure.Because(DiagnosticReason.BatchTooLong, (ulong)requests.Length, IoctlLimits.MaxBatch)
            : WireSize.Of(requests) is var bytes && bytes > options.Value.MaxRequestBytes ? Failure.Because(DiagnosticReason.RequestTooLarge, (ulong)bytes, (ulong)options.Value.MaxRequestBytes)
            : WireSize.MostAnswered(requests) is var most && most > options.Value.MaxAnswerBytes ? Failure.Because(DiagnosticReason.AnswerTooLarge, (ulong)most, (ulong)options.Value.MaxAnswerBytes)
            : null;

    // Only a client without the SDK sends none.
    private static ValueTask<IoctlBatchReply> NoRequests()
        => ValueTask.FromResult(new IoctlBatchReply { Errno = Errno.EFAULT, Diagnostic = Failure.Because(DiagnosticReason.ArgumentUnreadable, 0, sizeof(uint)) });

    public ValueTask<IoctlBatchReply> IoctlBatchRestAsync(ContextHandle handle, OperationId operation, int from)
    {
        if (Admits(handle) is var isAdmitted && OpenFor(isAdmitted) is not { } context)
        {
            return BatchReply(NotOpen(isAdmitted));
        }

        return !TryBegin(context, operation, out _, out var answer, out var failure) && answer is IoctlBatchReply whole
            ? _journal.ReplayReplyAsync(BatchParts.From(whole, from), Scope)
            : BatchReply(failure ?? Failure.Because(DiagnosticReason.OperationSettled, (ulong)operation.Sequence));
    }

    private ValueTask<DriverReply> DriverTurnAsync(bool isAdmitted, ReferenceId reference, DriverRequest request, OperationId operation)
    {
        if (OpenFor(isAdmitted) is not { } context)
        {
            return DriverReply(NotOpen(isAdmitted));
        }

        if (!TryBegin(context, operation, out var turn, out var answer, out var failure))
        {
            return failure is null ? _journal.ReplayReplyAsync((DriverReply)answer!, Scope) : DriverReply(failure);
        }

        return EndTurnAsync(turn, new DriverTurn(reference, request), DriverDispatcher.DispatchAsync(Scope, reference, request));

        static ValueTask<DriverReply> DriverReply(IoctlDiagnostic failure) => ValueTask.FromResult(new DriverReply(ErrnoOf(failure), Diagnostic: failure));
    }

    public async ValueTask<PollReply> PollFileAsync(ContextHandle handle, FileTarget target, TimeSpan wait)
        => Admits(handle) is var isAdmitted && OpenFor(isAdmitted) is not null ? await ConfirmedAsync(await FileDispatcher.PollAsync(Scope, target, wait)) : new PollReply(ErrnoOf(NotOpen(isAdmitted)));

    private ValueTask<FileReply> FileTurnAsync(bool isAdmitted, FileTarget target, FileRequest request, OperationId operation)
    {
        if (OpenFor(isAdmitted) is not { } context)
        {
            return FileReply(NotOpen(isAdmitted));
        }

        if (request is WriteFileRequest { Content: null or { Length: > IoctlLimits.MaxBufferBytes } } write)
        {
            return FileReply(Failure.Because(DiagnosticReason.RequestTooLarge, (ulong)(write.Content?.Length ?? 0), IoctlLimits.MaxBufferBytes));
        }

        if (!TryBegin(context, operation, out var turn, out var answer, out var failure))
        {
            return failure is null ? _journal.ReplayReplyAsync((FileReply)answer!, Scope) : FileReply(failure);
        }

        return EndTurnAsync(turn, new FileTurn(target, request), FileDispatcher.DispatchAsync(Scope, target, request));

        static ValueTask<FileReply> FileReply(IoctlDiagnostic failure) => ValueTask.FromResult(new FileReply(ErrnoOf(failure), Diagnostic: failure));
    }

    /// <summary>Begins the turn of a request that has not run before and is not settled.</summary>
    /// <param name="context">The context.</param>
    /// <param name="operation">The request's id.</param>
    /// <param name="turn">The turn.</param>
    /// <param name="answer">What the request was answered, where it has run before.</param>
    /// <param name="failure">Why the request must not run and has no answer; null otherwise.</param>
    private bool TryBegin(ContextModel context, in OperationId operation, out Turn turn, out object? answer, out IoctlDiagnostic? failure)
    {
        _programs.Begin();
        (turn, answer, failure) = (new Turn(operation, null, time.GetTimestamp()), null, null);
        if (operation.Session == 0)
        {
            return true;
        }

        if (context.FindSession(operation.Session) is not { } reference)
        {
            failure = Failure.Because(DiagnosticReason.SessionNotFound);
            return false;
        }

        turn = turn with { Reference = reference };
        reference.LastSign = turn.Begun;
        switch (reference.Replies.Begin(operation, out answer, out var bytes))
        {
            case OperationStanding.New when bytes <= options.Value.MaxUnsettledBytes:
                return true;
            case OperationStanding.New:
                failure = Failure.Because(DiagnosticReason.TooManyUnsettledBytes, limit: (ulong)options.Value.MaxUnsettledBytes);
                return false;
            case OperationStanding.Settled:
                failure = Failure.Because(DiagnosticReason.OperationSettled, (ulong)operation.Sequence);
                return false;
            case OperationStanding.Full:
                failure = Failure.Because(DiagnosticReason.TooManyUnsettled, limit: IoctlLimits.MaxUnsettled);
                return false;
            default:
                return false;
        }
    }

    // Ends the turn of every request that was run: journals what it has changed, keeps its answer for a repeat, records it, replies.
    private async ValueTask<TReply> EndTurnAsync<TRequest, TReply>(Turn turn, TRequest request, ValueTask<TReply> running)
        where TRequest : struct, ITurnRequest<TReply>
        where TReply : class
    {
        var reply = await running;
        var isKept = IsKept(turn, request, reply);
        if (_journal.IsDurable)
        {
            await _journal.CommitAsync(isKept ? request.ToRecord(turn.Operation, reply) with { Memory = _programs.Take() } : null, Scope);
        }

        await SettlePinsAsync();
        return Finish(turn, request, reply, isKept, hasWaited: true);
    }

    // Only what is journaled is told: an activation that another has replaced tells nothing.
    private ValueTask SettlePinsAsync() => _grains?.Pins is { HasNews: true } pins ? _programs.SettleAsync(pins) : ValueTask.CompletedTask;

    private TReply Finish<TRequest, TReply>(in Turn turn, TRequest request, TReply reply, bool isKept, bool hasWaited)
        where TRequest : struct, ITurnRequest<TReply>
        where TReply : class
    {
        if (isKept)
        {
            turn.Reference?.Replies.Keep(turn.Operation, reply);
        }

        if (_monitored is { } monitored)
        {
            request.Record(monitored, reply, turn.Begun, hasWaited);
        }

        return reply;
    }

    // The answer to a repeat is kept also where it changes nothing: the first attempt may still come, and must not run then.
    private static bool IsKept<TRequest, TReply>(in Turn turn, TRequest request, TReply reply)
        where TRequest : struct, ITurnRequest<TReply>
        where TReply : class
        => turn.Operation.IsRepeat || request.Changes(reply);

    private static ValueTask<IoctlBatchReply> BatchReply(IoctlDiagnostic failure)
        => ValueTask.FromResult(new IoctlBatchReply { Errno = ErrnoOf(failure), Diagnostic = failure });

    private static IoctlReply Reply(IoctlDiagnostic failure) => new() { Errno = ErrnoOf(failure), Diagnostic = failure };

    private static Errno ErrnoOf(IoctlDiagnostic failure) => failure.Reason switch
    {
        DiagnosticReason.JournalDamaged or DiagnosticReason.JournalDiverged => Errno.EIO,
        DiagnosticReason.OperationSettled => Errno.ESTALE,
        DiagnosticReason.TooManyUnsettled or DiagnosticReason.TooManyUnsettledBytes => Errno.ENOMEM,
        DiagnosticReason.RequestTooLarge or DiagnosticReason.AnswerTooLarge or DiagnosticReason.BatchTooLong => Errno.E2BIG,
        _ => Errno.EBADF,
    };
}
