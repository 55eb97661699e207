using IommuFd.GrainInterfaces;
using IommuFd.Grains.Calls;
using IommuFd.Grains.Journaling;
using IommuFd.Grains.Model;
using IommuFd.Uapi;

namespace IommuFd.Grains.Contexts;

/// <content>What makes answers last: the journal, and the answers that are kept for whoever asks again.</content>
internal sealed partial class ContextGrain
{
    private ContextJournal? _journal;
    private ReleasedReply? _lastWords;
    private IoctlDiagnostic? _damage;
    private string? _unavailable;

    /// <summary>Makes the context again where another silo has handed it over, or the journal knows it.</summary>
    public override async Task OnActivateAsync(CancellationToken cancellationToken)
    {
        var begun = time.GetTimestamp();
        try
        {
            if (_package is { } package)
            {
                await ArriveAsync(package);
                return;
            }

            if (journal is null)
            {
                return;
            }

            var recovery = new ContextRecovery(journal, serializer, GrainFactory, logger, options.Value.SnapshotAfterBytes);
            if (await recovery.RecoverAsync(Handle, cancellationToken) is { } recovered)
            {
                await ResumeAsync(recovered, begun);
            }
        }
        catch (JournalStoreException exception)
        {
            Abandon(exception.Message);
        }
        catch (ContextUnavailableException)
        {
            // It has left already, and says so to whoever asks.
        }
    }

    /// <summary>Ends the grains of a context that another activation makes again. Its own come with a later epoch.</summary>
    public override async Task OnDeactivateAsync(DeactivationReason reason, CancellationToken cancellationToken)
    {
        _leaseTimer?.Dispose();
        CountNoMore();

        // Where the silo stops, its objects' grains leave at the same time: calling them would make empty ones elsewhere.
        if (_journal is not null && _grains is { } grains && reason.ReasonCode != DeactivationReasonCode.ShuttingDown)
        {
            await grains.DestroyAllAsync();
        }
    }

    private static Errno ErrnoOf(IoctlDiagnostic failure) => failure.Reason switch
    {
        DiagnosticReason.JournalDamaged or DiagnosticReason.JournalDiverged => Errno.EIO,
        DiagnosticReason.OperationSettled => Errno.ESTALE,
        DiagnosticReason.TooManyUnsettled => Errno.ENOMEM,
        DiagnosticReason.NoJournal => Errno.EOPNOTSUPP,
        DiagnosticReason.RequestTooLarge => Errno.E2BIG,
        _ => Errno.EBADF,
    };

    private async Task ResumeAsync(RecoveredContext recovered, long begun)
    {
        (_lastWords, _damage, _journal, _grains) = (recovered.ReleasedReply, recovered.Damage, recovered.Journal, recovered.Grains);
        if (recovered.Context is { IsOpen: true } context)
        {
            statistics?.CountRecovery();
            telemetry?.NoteRecovery(time.GetElapsedTime(begun));
            if (_grains!.HasLost)
            {
                throw Abandon("the grain of an object failed while it was recovered");
            }

            Resume(context);
            await SnapshotIfDueAsync();
        }
    }

    private void Resume(ContextModel context)
    {
        _context = context;
        census?.Add();
        _client = 0;
        Begin();
    }

    // Why there is no context here to answer; throws where another activation has it. Whoever asks is the last one for now.
    private IoctlDiagnostic NotOpen()
    {
        LeaveUnlessOpen();
        return Obstacle();
    }

    private IoctlDiagnostic Obstacle()
        => _unavailable is null ? _damage ?? Failure.Because(DiagnosticReason.ContextNotOpen) : throw new ContextUnavailableException(_unavailable);

    /// <summary>Lets a request begin that was not done before and is not settled.</summary>
    /// <param name="context">The context.</param>
    /// <param name="operation">The request's name.</param>
    /// <param name="begun">The time stamp of now.</param>
    /// <param name="reference">The reference of its session; null without a session.</param>
    /// <param name="answer">What it was answered before, where it was.</param>
    /// <param name="failure">Why it must not be done and has no answer; null otherwise.</param>
    private bool TryBegin(ContextModel context, in OperationId operation, long begun, out ContextReference? reference, out object? answer, out IoctlDiagnostic? failure)
    {
        (reference, answer, failure) = (null, null, null);
        if (operation.Session == 0)
        {
            return true;
        }

        reference = context.FindSession(operation.Session);
        if (reference is null)
        {
            failure = Failure.Because(DiagnosticReason.SessionNotFound);
            return false;
        }

        reference.LastSign = begun;
        switch (reference.Replies.Begin(operation, out answer))
        {
            case OperationStanding.New when reference.Replies.Bytes <= options.Value.MaxUnsettledBytes:
                return true;
            case OperationStanding.New:
                failure = Failure.Because(DiagnosticReason.TooManyUnsettled, limit: (ulong)options.Value.MaxUnsettledBytes);
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

    // An answer that is known is in the journal, but is this still the context's activation?
    private async ValueTask<TReply> AgainAsync<TReply>(TReply answer)
    {
        await LastAsync(null);
        return answer;
    }

    /// <summary>Makes what was just done last, or, where that changed nothing, makes sure that it was done on the latest state.</summary>
    /// <exception cref="ContextUnavailableException">It does not, or nobody knows: this activation leaves.</exception>
    private async ValueTask LastAsync(JournalRecord? record)
    {
        if (_journal is not { } log)
        {
            return;
        }

        if (_grains is { HasLost: true })
        {
            throw Abandon("the grain of an object failed or has lost its state");
        }

        await MadeAsync(record is null ? log.ConfirmAsync() : log.AppendAsync(record));
        await SnapshotIfDueAsync();
    }

    private async ValueTask MadeAsync(ValueTask<JournalOutcome> write)
    {
        JournalOutcome outcome;
        try
        {
            outcome = await write;
        }
        catch (JournalStoreException exception)
        {
            throw Abandon(exception.Message);
        }

        if (outcome == JournalOutcome.Fenced)
        {
            throw Abandon("another activation has taken over");
        }
    }

    private async ValueTask SnapshotIfDueAsync()
    {
        if (_journal is not { WantsSnapshot: true } log || _context is not { IsOpen: true } context)
        {
            return;
        }

        var snapshot = await ContextSnapshots.CaptureAsync(context, _grains!);
        if (_grains!.HasLost)
        {
            throw Abandon("the grain of an object failed or has lost its state");
        }

        await MadeAsync(log.StoreAsync(snapshot));
    }

    private async Task<ReferenceReply?> BeginJournalAsync()
    {
        if (_lastWords is not null)
        {
            return new ReferenceReply(Errno.EEXIST, default, default, ContextMode.Durable, Failure.Because(DiagnosticReason.ContextAlreadyOpen));
        }

        if (journal is null)
        {
            return Refused(Failure.Because(DiagnosticReason.NoJournal));
        }

        // A journal without a record is that of an opener who got no answer.
        if (_journal is not null)
        {
            return null;
        }

        try
        {
            if (await journal.Store.CreateAsync(Handle, journal.Owner, CancellationToken.None) is { } epoch)
            {
                _journal = new ContextJournal(journal, serializer, Handle, epoch, options.Value.SnapshotAfterBytes);
                return null;
            }
        }
        catch (JournalStoreException exception)
        {
            throw Abandon(exception.Message);
        }

        throw Abandon("another activation has taken over");
    }

    private async ValueTask EndJournalAsync(ReleasedReply words)
    {
        if (_journal is { } log)
        {
            await MadeAsync(log.ReleaseAsync(words));
            (_journal, _lastWords) = (null, words);
        }
    }

    private ContextUnavailableException Abandon(string reason)
    {
        logger.ContextAbandoned(Handle.ToShortString(), reason);
        _context = null;
        _unavailable = reason;
        DeactivateOnIdle();
        return new ContextUnavailableException(reason);
    }
}
