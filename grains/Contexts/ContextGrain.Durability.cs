using IommuFd.GrainInterfaces;
using IommuFd.Grains.Journaling;
using IommuFd.Grains.Monitoring;
using IommuFd.Uapi;

namespace IommuFd.Grains.Contexts;

/// <content>What makes answers last: the journal, the answers that are kept for whoever asks again, and the leases of references.</content>
internal sealed partial class ContextGrain
{
    // A lease is looked at so often in its time; it is over by as much later at most.
    private const int LooksPerLease = 4;

    private ContextJournal? _journal;
    private LastWords? _lastWords;
    private IoctlDiagnostic? _damage;
    private string? _unavailable;
    private IGrainTimer? _leaseTimer;
    private long? _client;

    /// <summary>Makes the context again where the journal knows it.</summary>
    public override async Task OnActivateAsync(CancellationToken cancellationToken)
    {
        if (journal is null)
        {
            return;
        }

        var begun = time.GetTimestamp();
        try
        {
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

    public Task<RenewReply> RenewAsync(ReferenceId[] references)
    {
        if (_context is not { } context)
        {
            return Task.FromResult(new RenewReply(ErrnoOf(NotOpen()), []));
        }

        var now = time.GetTimestamp();
        List<ReferenceId>? gone = null;
        foreach (var id in references.AsSpan(0, Math.Min(references.Length, IoctlLimits.MaxReferences)))
        {
            if (context.Find(id) is { } reference)
            {
                reference.LastSign = now;
            }
            else
            {
                (gone ??= []).Add(id);
            }
        }

        return Task.FromResult(new RenewReply(Errno.None, gone?.ToArray() ?? []));
    }

    public async Task SweepAsync()
    {
        _monitored?.Tail.Trim(time.GetTimestamp());
        if (_context is not { } context)
        {
            // A journal without a record is that of an opener who got no answer, and asks no more.
            await EndJournalAsync(new LastWords(default, new PutReply(Errno.None, new ReleaseReport(0, [], []), null)));
            LeaveUnlessOpen();
            return;
        }

        if (options.Value.Lease == TimeSpan.Zero)
        {
            return;
        }

        foreach (var reference in context.References.Where(reference => time.GetElapsedTime(reference.LastSign) > options.Value.Lease).ToList())
        {
            statistics?.CountLeaseExpiry();
            logger.LeaseExpired(Handle.ToShortString(), reference.Kind, reference.Id.Value, reference.Name);
            await PutAsync(context, reference.Id);
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
        (_lastWords, _damage, _journal, _grains) = (recovered.LastWords, recovered.Damage, recovered.Journal, recovered.Grains);
        if (recovered.Context is { IsOpen: true } context)
        {
            _context = context;
            census?.Add();
            _client = 0;
            statistics?.CountRecovery();
            telemetry?.NoteRecovery(time.GetElapsedTime(begun));
            if (_grains!.HasLost)
            {
                throw Abandon("the grain of an object failed while it was recovered");
            }

            Begin();
            await SnapshotIfDueAsync();
        }
    }

    // Why there is no context here to answer; throws where another activation has it. Whoever asks is the last one for now.
    private IoctlDiagnostic NotOpen()
    {
        LeaveUnlessOpen();
        return Obstacle();
    }

    private IoctlDiagnostic Obstacle()
        => _unavailable is null ? _damage ?? new IoctlDiagnostic { Reason = DiagnosticReason.ContextNotOpen } : throw new ContextUnavailableException(_unavailable);

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
            failure = new IoctlDiagnostic { Reason = DiagnosticReason.SessionNotFound };
            return false;
        }

        reference.LastSign = begun;
        switch (reference.Replies.Begin(operation, out answer))
        {
            case OperationStanding.New when reference.Replies.Bytes <= options.Value.MaxUnsettledBytes:
                return true;
            case OperationStanding.New:
                failure = new IoctlDiagnostic { Reason = DiagnosticReason.TooManyUnsettled, Limit = (ulong)options.Value.MaxUnsettledBytes };
                return false;
            case OperationStanding.Settled:
                failure = new IoctlDiagnostic { Reason = DiagnosticReason.OperationSettled, Value = (ulong)operation.Sequence };
                return false;
            case OperationStanding.Full:
                failure = new IoctlDiagnostic { Reason = DiagnosticReason.TooManyUnsettled, Limit = IoctlLimits.MaxUnsettled };
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
            return new ReferenceReply(Errno.EEXIST, default, default, ContextMode.Durable, new IoctlDiagnostic { Reason = DiagnosticReason.ContextAlreadyOpen });
        }

        if (journal is null)
        {
            return Refused(new IoctlDiagnostic { Reason = DiagnosticReason.NoJournal });
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

    private ReferenceReply? Count(long client)
    {
        if (census is null || _client is not null)
        {
            return null;
        }

        if (census.TryAdd(client, out var limit) is var errno && errno != Errno.None)
        {
            return new ReferenceReply(errno, default, default, default, new IoctlDiagnostic { Reason = DiagnosticReason.TooManyReferences, Limit = (ulong)limit });
        }

        _client = client;
        return null;
    }

    private void CountNoMore()
    {
        if (_client is { } client)
        {
            census?.Remove(client);
            _client = null;
        }

        if (_monitored is { } monitored)
        {
            directory?.Remove(monitored);
            _monitored = null;
        }
    }

    private async ValueTask EndJournalAsync(LastWords words)
    {
        if (_journal is { } log)
        {
            await MadeAsync(log.ReleaseAsync(words));
            (_journal, _lastWords) = (null, words);
        }
    }

    private void Begin()
    {
        _monitored = new MonitoredContext(Handle, _context!, time, statistics);
        directory?.Add(_monitored);
        _context!.Objects.MaxObjects = options.Value.MaxObjects;
        _context.MaxAreas = options.Value.MaxAreas;
        var now = time.GetTimestamp();
        foreach (var reference in _context.References)
        {
            reference.LastSign = now;
        }

        if (options.Value.Lease > TimeSpan.Zero && _leaseTimer is null)
        {
            var period = options.Value.Lease / LooksPerLease;
            _leaseTimer = this.RegisterGrainTimer(SweepAsync, new GrainTimerCreationOptions { DueTime = period, Period = period });
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
