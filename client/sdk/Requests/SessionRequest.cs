using System.Runtime.CompilerServices;
using System.Threading.Tasks.Sources;
using IommuFd.GrainInterfaces;

namespace IommuFd.Client;

// A request from its first attempt to its answer. The first attempt answers nearly every request, so this costs no more than the state machine of an async method: one object
// is the promise, the entry in the session's window and the attempt's continuation. Transport's loop takes over when something goes wrong, and may allocate.
//
// The state says what may answer: the first attempt while it is the only one, then the loop. An answer of the first attempt that comes after a repeat was sent is dropped. The
// service keeps answers to repeats, but not a first answer that changed nothing: a DESTROY that was EBUSY at first may have succeeded when it was repeated.

/// <summary>A request of a session, as the session sees it.</summary>
internal abstract class SessionRequest(Session session)
{
    private int _began;

    // The session bounds it: a request's number is at most IoctlLimits.MaxUnsettled above the last settled one.
    private int _aboveSettled;

    /// <summary>Whether the request is sent within a span of the SDK. Other requests need not look for one.</summary>
    public bool IsTraced { get; init; }

    /// <summary>The request's number among those of its session that are under way here.</summary>
    public long Sequence { get; private set; }

    /// <summary>The session.</summary>
    protected Session Session => session;

    /// <summary>What may answer the request. Moves forward only.</summary>
    protected RequestState State => (RequestState)Volatile.Read(ref StateValue);

    /// <summary>The state, for interlocked changes.</summary>
    protected int StateValue;

    /// <summary>Sets the number, the settled number and the time of the start.</summary>
    public void Begin(long sequence, long settled, int now) => (Sequence, _aboveSettled, _began) = (sequence, (int)(sequence - settled), now);

    /// <summary>The id that the request is sent with. It has begun.</summary>
    public virtual OperationId Operation(bool isRepeat = false) => new(session.Id, Sequence, Sequence - _aboveSettled, isRepeat, session.Lane);

    /// <summary>Whether the first attempt has been under way for more than a number of the watch's checks.</summary>
    public bool IsOverdue(int now, int looks) => State == RequestState.FirstAttempt && LooksSince(now) > looks;

    /// <summary>Repeats the request.</summary>
    public abstract void OnOverdue();

    /// <summary>How many checks the watch has made since the request began.</summary>
    protected int LooksSince(int now) => unchecked(now - _began);

    /// <summary>Moves to another state, unless another thread has left this one first.</summary>
    protected bool TryMove(RequestState from, RequestState to) => Interlocked.CompareExchange(ref StateValue, (int)to, (int)from) == (int)from;
}

/// <summary>A request of a session.</summary>
internal abstract class SessionRequest<TReply>(Session session) : SessionRequest(session), IValueTaskSource<TReply>
{
    private ManualResetValueTaskSourceCore<TReply> _promise;
    private ConfiguredValueTaskAwaitable<TReply>.ConfiguredValueTaskAwaiter _attempt;
    private CancellationTokenRegistration _cancellation;
    private ExecutionContext? _caller;

    /// <summary>The request's name, for people.</summary>
    protected abstract string Name { get; }

    /// <summary>Makes one attempt.</summary>
    protected abstract ValueTask<TReply> SendAsync(OperationId operation);

    /// <summary>Sends it the first time. It has begun.</summary>
    /// <returns>Its answer. Awaited once.</returns>
    public ValueTask<TReply> StartAsync(CancellationToken cancellationToken) => new(this, Start(cancellationToken));

    /// <summary>Sends it the first time. It has begun.</summary>
    /// <returns>The promise's version, for the one who awaits it.</returns>
    protected short Start(CancellationToken cancellationToken)
    {
        _caller = ExecutionContext.Capture();
        Volatile.Write(ref StateValue, (int)RequestState.FirstAttempt);
        if (cancellationToken.CanBeCanceled)
        {
            _cancellation = cancellationToken.UnsafeRegister(static (state, token) => ((SessionRequest<TReply>)state!).GiveUp(token), this);
            if (State == RequestState.Ended)
            {
                return _promise.Version;
            }
        }

        SendFirst();
        return _promise.Version;
    }

    /// <summary>Makes the first attempt.</summary>
    protected virtual void SendFirst()
    {
#pragma warning disable CA2012 // Awaited exactly once, here or in EndFirstAttempt.
        _attempt = Send(isRepeat: false).ConfigureAwait(false).GetAwaiter();
#pragma warning restore CA2012
        if (_attempt.IsCompleted)
        {
            EndFirstAttempt(isImmediate: true);
        }
        else
        {
            _attempt.UnsafeOnCompleted(EndFirstAttempt);
        }
    }

    public override void OnOverdue() => Repeat(null);

    public TReply GetResult(short token) => _promise.GetResult(token);

    public ValueTaskSourceStatus GetStatus(short token) => _promise.GetStatus(token);

    public void OnCompleted(Action<object?> continuation, object? state, short token, ValueTaskSourceOnCompletedFlags flags)
        => _promise.OnCompleted(continuation, state, token, flags);

    // A grain reference throws what it finds out before it sends anything.
    private ValueTask<TReply> Send(bool isRepeat)
    {
        try
        {
            return IsTraced || CallHeaders.IsTimed() ? SendMarkedAsync(isRepeat) : SendAsync(Operation(isRepeat));
        }
        catch (Exception exception)
        {
            return ValueTask.FromException<TReply>(exception);
        }
    }

    // Repeats are not timed: the time since the first attempt is not a wait for a turn.
    private ValueTask<TReply> SendMarkedAsync(bool isRepeat)
    {
        if (isRepeat)
        {
            TracedCalls.NoteRepeat();
        }

        using (CallHeaders.Put(isTimed: !isRepeat))
        {
            return SendAsync(Operation(isRepeat));
        }
    }

    private void EndFirstAttempt() => EndFirstAttempt(isImmediate: false);

    private void EndFirstAttempt(bool isImmediate)
    {
        TReply reply;
        try
        {
            reply = _attempt.GetResult();
        }
        catch (Exception exception)
        {
            FailFirst(exception, isImmediate, isRepeated: IommufdTransportException.IsTransport(exception));
            return;
        }

        AnswerFirst(reply);
    }

    /// <summary>The first attempt was answered.</summary>
    protected void AnswerFirst(TReply reply)
    {
        if (TryMove(RequestState.FirstAttempt, RequestState.Ended))
        {
            Answer(reply);
        }
    }

    /// <summary>The first attempt has failed.</summary>
    /// <param name="exception">Why.</param>
    /// <param name="isImmediate">Whether it failed before anything was sent.</param>
    /// <param name="isRepeated">Whether the request is repeated; if not, it has failed too.</param>
    protected void FailFirst(Exception exception, bool isImmediate, bool isRepeated)
    {
        if (isRepeated)
        {
            Repeat(new FailedAttempt(exception, isImmediate));
        }
        else if (TryMove(RequestState.FirstAttempt, RequestState.Ended))
        {
            Fail(exception);
        }
    }

    private void Repeat(FailedAttempt? failed)
    {
        if (!TryMove(RequestState.FirstAttempt, RequestState.Repeated))
        {
            return;
        }

        // With the caller's execution context, which has the trace's id, for example.
        if (_caller is { } caller)
        {
            ExecutionContext.Run(caller, state => _ = RepeatAsync((FailedAttempt?)state), failed);
        }
        else
        {
            _ = RepeatAsync(failed);
        }
    }

    private async Task RepeatAsync(FailedAttempt? failed)
    {
        try
        {
            var elapsed = Session.Core.Watch.Period * LooksSince(Session.Core.Watch.Now);
            var reply = await Session.Core.Transport.RepeatAsync(Name, () => Send(isRepeat: true), failed, elapsed, _cancellation.Token).ConfigureAwait(false);
            if (TryMove(RequestState.Repeated, RequestState.Ended))
            {
                Answer(reply);
            }
        }
        catch (Exception exception)
        {
            if (TryMove(RequestState.Repeated, RequestState.Ended))
            {
                Fail(exception);
            }
        }
    }

    private void GiveUp(CancellationToken cancellationToken)
    {
        if (TryMove(RequestState.FirstAttempt, RequestState.Ended) || TryMove(RequestState.Repeated, RequestState.Ended))
        {
            Fail(new OperationCanceledException(cancellationToken));
        }
    }

    /// <summary>Fetches what an answer lacks; null where it is whole. Meanwhile the request is not sent again, and not settled.</summary>
    protected virtual Task<TReply>? CompleteAsync(TReply reply, CancellationToken cancellationToken) => null;

    private void Answer(TReply reply)
    {
        if (CompleteAsync(reply, _cancellation.Token) is { } completing)
        {
            _ = AnswerWhenCompleteAsync(completing);
        }
        else
        {
            End(reply);
        }
    }

    private async Task AnswerWhenCompleteAsync(Task<TReply> completing)
    {
        TReply reply;
        try
        {
            reply = await completing.ConfigureAwait(false);
        }
        catch (Exception exception)
        {
            Fail(exception);
            return;
        }

        End(reply);
    }

    // The request is settled before the caller continues, so that the caller's next request says so.
    private void End(TReply reply)
    {
        _cancellation.Unregister();
        Session.End(Sequence, isAnswered: true);
        _promise.SetResult(reply);
    }

    private void Fail(Exception exception)
    {
        _cancellation.Unregister();
        Session.End(Sequence, isAnswered: false);
        _promise.SetException(exception);
    }
}
