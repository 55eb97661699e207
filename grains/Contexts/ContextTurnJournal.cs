using IommuFd.GrainInterfaces;
using IommuFd.Grains.Calls;
using IommuFd.Grains.Journaling;
using IommuFd.Grains.Model;
using IommuFd.Uapi;
using Microsoft.Extensions.Logging;
using Orleans.Serialization;

namespace IommuFd.Grains.Contexts;

// What stands between a turn and its answer. A turn that has changed the context appends its record before its answer leaves; a turn that
// has changed nothing confirms that this activation still owns the context's epoch, so that a stale activation answers nothing. Where
// neither succeeds, memory and journal may differ: the activation deactivates without replying, and its successor recovers from the journal.
//
// A volatile context has no journal. Committing does nothing then, and all that is here of it is why the activation is unavailable.
//
// Always: once the activation is unavailable, it writes nothing more. What its journal has is its successor's.

/// <summary>The journal of one context's turns, as one activation of its grain has it. One turn at a time.</summary>
/// <param name="activation">The activation; deactivated where it can't go on.</param>
/// <param name="key">The context.</param>
/// <param name="siloJournal">The silo's journal; null where the silo has volatile contexts only.</param>
/// <param name="serializer">Serializes records.</param>
/// <param name="snapshotAfterBytes">How many bytes of records a snapshot is worth at least.</param>
/// <param name="logger">The grain's logger.</param>
internal sealed class ContextTurnJournal(
    IGrainContext activation, ContextKey key, IJournal? siloJournal, Serializer serializer, int snapshotAfterBytes, ILogger logger)
{
    private ContextJournal? _journal;
    private ReleasedReply? _released;
    private IoctlDiagnostic? _damage;
    private string? _unavailable;
    private bool _isCreating;

    /// <summary>Whether a turn must be committed: the context is durable, and open or about to be opened.</summary>
    public bool IsDurable => _journal is not null;

    /// <summary>Whether this activation, which could not recover the context, stays for a while to say why.</summary>
    public bool IsResting { get; private set; }

    /// <summary>Whether this activation must not answer any more.</summary>
    public bool IsUnavailable => _unavailable is not null;

    /// <summary>
    /// Whether the store may have a journal with which only the next activation can go on: one that can't be written to here, or one without a record,
    /// whose opener got no answer.
    /// </summary>
    /// <param name="isOpen">Whether the context is open here.</param>
    public bool IsAbandoned(bool isOpen) => IsUnavailable ? IsDurable || IsResting || _isCreating : IsDurable && !isOpen;

    /// <summary>The epoch that the grains of a durable context's objects are told; null for a volatile one.</summary>
    public long? ObjectEpoch => _journal?.ObjectEpoch;

    /// <summary>Why no context is open here: it was never opened, is released, or its journal is damaged.</summary>
    /// <exception cref="ContextUnavailableException">Another activation has the context, or will have it.</exception>
    public IoctlDiagnostic WhyUnavailable()
        => _unavailable is null ? _damage ?? Failure.Because(DiagnosticReason.ContextNotOpen) : throw new ContextUnavailableException(_unavailable);

    /// <summary>The reply to the put that released the context, where the put is sent again; null where it was another.</summary>
    public PutReply? FindReleasedReply(ReferenceId reference) => _released is { } released && released.Reference == reference ? released.Reply : null;

    /// <summary>Takes over the context's journal and recovers the context from it.</summary>
    /// <returns>Null where there is none.</returns>
    /// <exception cref="ContextUnavailableException">
    /// The store can't be reached: this activation tells each caller so for a while, and then deactivates. If it deactivated at once, Orleans would
    /// forward the waiting calls to the next activation, which would fail too, and in the end callers would read Orleans' reason and not ours.
    /// </exception>
    public async ValueTask<RecoveredContext?> RecoverAsync(ObjectReach reach, CancellationToken cancellationToken)
    {
        if (siloJournal is null)
        {
            return null;
        }

        try
        {
            var recovery = new ContextRecovery(siloJournal, serializer, reach, logger, snapshotAfterBytes);
            if (await recovery.RecoverAsync(key, cancellationToken) is not { } recovered)
            {
                return null;
            }

            (_journal, _released, _damage) = (recovered.Journal, recovered.ReleasedReply, recovered.Damage);
            return recovered;
        }
        catch (JournalStoreException exception)
        {
            IsResting = true;
            _unavailable = exception.Message;
            throw new ContextUnavailableException(exception.Message);
        }
    }

    /// <summary>Creates the journal of a durable context that is about to be opened.</summary>
    /// <returns>Null where the context has one now; else the refusal.</returns>
    /// <exception cref="ContextUnavailableException">Another activation has created it, or the store can't be reached: this activation deactivates.</exception>
    public async ValueTask<ReferenceReply?> CreateAsync()
    {
        if (_released is not null)
        {
            return new ReferenceReply(Errno.EEXIST, default, default, ContextMode.Durable, Failure.Because(DiagnosticReason.ContextAlreadyOpen));
        }

        if (siloJournal is null)
        {
            return new ReferenceReply(Errno.EOPNOTSUPP, default, default, default, Failure.Because(DiagnosticReason.NoJournal));
        }

        // An open that got no answer has left a journal without a record.
        if (_journal is not null)
        {
            return null;
        }

        try
        {
            _isCreating = true;
            var created = await siloJournal.Store.CreateAsync(key, siloJournal.Owner, CancellationToken.None);
            _isCreating = false;
            if (created is { } epoch)
            {
                _journal = new ContextJournal(siloJournal, serializer, key, epoch, snapshotAfterBytes);
                return null;
            }
        }
        catch (JournalStoreException exception)
        {
            throw DeactivateForStore(exception);
        }

        throw Deactivate("another activation has taken over");
    }

    /// <summary>Appends a turn's record; without one, confirms that this activation still owns the epoch. Then takes a snapshot, where one is due.</summary>
    /// <param name="record">What the turn has changed; null where it changed nothing.</param>
    /// <param name="scope">The context as the turn has left it.</param>
    /// <exception cref="ContextUnavailableException">The outcome is unknown, or the epoch is another activation's: this activation deactivates.</exception>
    public async ValueTask CommitAsync(JournalRecord? record, IoctlScope scope)
    {
        if (Writable() is not { } journal)
        {
            return;
        }

        ThrowIfObjectLost(scope);
        await WriteOrDeactivateAsync(record is null ? journal.ConfirmAsync() : journal.AppendAsync(record));
        await StoreSnapshotIfDueAsync(scope);
    }

    /// <summary>
    /// Confirms that this activation still owns the epoch, before it answers what interleaves with its turns: an activation that has lost the context
    /// answers nothing at all, neither that its leases are renewed nor what it has.
    /// </summary>
    /// <exception cref="ContextUnavailableException">As of <see cref="CommitAsync"/>.</exception>
    public ValueTask ConfirmAsync() => Writable() is { } journal ? WriteOrDeactivateAsync(journal.ConfirmAsync()) : ValueTask.CompletedTask;

    /// <summary>
    /// Replies to a repeated request as it was answered before. That answer is in the journal already, but the epoch may be another
    /// activation's.
    /// </summary>
    public async ValueTask<TReply> ReplayReplyAsync<TReply>(TReply reply, IoctlScope scope)
    {
        await CommitAsync(null, scope);
        return reply;
    }

    /// <summary>Replaces the records by a snapshot where they have grown as large as one.</summary>
    /// <exception cref="ContextUnavailableException">As of <see cref="CommitAsync"/>.</exception>
    public async ValueTask StoreSnapshotIfDueAsync(IoctlScope scope)
    {
        if (Writable() is not { WantsSnapshot: true } journal || !scope.Context.IsOpen)
        {
            return;
        }

        var snapshot = await ContextSnapshots.CaptureAsync(scope.Context, scope.Grains);
        ThrowIfObjectLost(scope);
        await WriteOrDeactivateAsync(journal.StoreAsync(snapshot));
    }

    /// <summary>Ends the journal of a released context, and keeps the reply to its last put.</summary>
    /// <exception cref="ContextUnavailableException">As of <see cref="CommitAsync"/>, or this activation is unavailable already.</exception>
    public async ValueTask ReleaseAsync(ReleasedReply released)
    {
        if (Writable() is { } journal)
        {
            await WriteOrDeactivateAsync(journal.ReleaseAsync(released));
            (_journal, _released) = (null, released);
        }
    }

    /// <summary>Makes this activation unavailable, since it moves to another silo.</summary>
    public void MoveAway(string reason) => _unavailable = reason;

    /// <summary>Deactivates this activation without a reply: its successor goes on from the journal. A volatile context is lost with it.</summary>
    /// <returns>What the turn must throw.</returns>
    public ContextUnavailableException Deactivate(string reason)
    {
        logger.ContextAbandoned(key.Tag, reason);
        _unavailable = reason;
        activation.Deactivate(new DeactivationReason(DeactivationReasonCode.ApplicationRequested, reason));
        return new ContextUnavailableException(reason);
    }

    // The store's outage is logged by the store, once for all contexts.
    private ContextUnavailableException DeactivateForStore(JournalStoreException exception)
    {
        _unavailable = exception.Message;
        activation.Deactivate(new DeactivationReason(DeactivationReasonCode.ApplicationRequested, exception.Message));
        return new ContextUnavailableException(exception.Message);
    }

    // Null where there is nothing to write to, as for a volatile context.
    private ContextJournal? Writable() => _unavailable is null ? _journal : throw new ContextUnavailableException(_unavailable);

    private async ValueTask WriteOrDeactivateAsync(ValueTask<JournalOutcome> write)
    {
        JournalOutcome outcome;
        try
        {
            outcome = await write;
        }
        catch (JournalStoreException exception)
        {
            throw DeactivateForStore(exception);
        }

        // A context that was released meanwhile has no journal that could be another's.
        if (outcome == JournalOutcome.Fenced && _journal is not null)
        {
            throw Deactivate("another activation has taken over");
        }
    }

    private void ThrowIfObjectLost(IoctlScope scope)
    {
        if (scope.Grains.HasLost)
        {
            throw Deactivate("the grain of an object failed or has lost its state");
        }
    }
}
