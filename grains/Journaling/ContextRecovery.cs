using IommuFd.GrainInterfaces;
using IommuFd.Grains.Calls;
using IommuFd.Grains.Encoding;
using IommuFd.Grains.Model;
using Microsoft.Extensions.Logging;
using Orleans.Serialization;

namespace IommuFd.Grains.Journaling;

/// <summary>What a recovery found in a context's journal.</summary>
/// <param name="Context">The context; null if it is released or damaged. Not open if no request was ever answered.</param>
/// <param name="Grains">The grains of its objects. If they have lost state, the context is incomplete and the activation must
/// deactivate.</param>
/// <param name="Journal">Its journal, acquired.</param>
/// <param name="ReleasedReply">The reply to its last Put; null if it is not released.</param>
/// <param name="Damage">Why it can't be recovered; null if it can.</param>
internal sealed record RecoveredContext(ContextModel? Context, ObjectGrains? Grains, ContextJournal? Journal, ReleasedReply? ReleasedReply, IoctlDiagnostic? Damage);

/// <summary>Recovers contexts from their journals.</summary>
internal sealed class ContextRecovery(IJournal journal, Serializer serializer, ObjectReach reach, ILogger logger, int snapshotAfterBytes)
{
    // One read: large enough to make few of them, small enough that many contexts can recover at once.
    private const int PageBytes = 4 << 20;

    /// <summary>Acquires a context's journal and recovers the context.</summary>
    /// <returns>Null if the context has no journal.</returns>
    /// <exception cref="JournalStoreException">The store can't be reached.</exception>
    public async Task<RecoveredContext?> RecoverAsync(ContextKey key, CancellationToken cancellationToken)
    {
        if (await journal.Store.AcquireAsync(key, journal.Owner, cancellationToken) is not { } head)
        {
            return null;
        }

        if (head.Foreign is { } owner)
        {
            logger.ContextElsewhere(key.Tag, JournalOwner.ClusterOf(owner));
            return new RecoveredContext(null, null, null, null, Failure.Because(DiagnosticReason.OwnedByOtherCluster));
        }

        if (head.Released is { } released)
        {
            return Decode<ReleasedReply>(key, 0, released) is { } words ? new RecoveredContext(null, null, null, words, null) : Damaged(key, DiagnosticReason.JournalDamaged, 0);
        }

        var log = new ContextJournal(journal, serializer, key, head.Epoch, snapshotAfterBytes) { Position = head.SnapshotPosition };
        var grains = new ObjectGrains(reach, key, log.ObjectEpoch, logger);
        var context = new ContextModel();
        if (head.Snapshot is { } frame)
        {
            if (Decode<ContextSnapshot>(key, head.SnapshotPosition, frame) is not { } snapshot)
            {
                return Damaged(key, DiagnosticReason.JournalDamaged, 0);
            }

            try
            {
                context = await ContextSnapshots.RestoreAsync(snapshot, grains, ObjectKinds.All);
            }
            catch (InvalidDataException exception)
            {
                logger.JournalUnreadable(exception, key.Tag, head.SnapshotPosition);
                await grains.EndAllAsync();
                return Damaged(key, DiagnosticReason.JournalDamaged, 0);
            }
        }

        // A failing object grain is no sign of damage: the next activation may find it well.
        var (damage, isTorn, bytes) = grains.HasLost ? default : await ReplayAsync(key, new IoctlScope(context, grains), log, cancellationToken);
        if (grains.HasLost)
        {
            return new RecoveredContext(context, grains, log, null, null);
        }

        if (damage is { } reason)
        {
            await grains.EndAllAsync();
            return Damaged(key, reason, (ulong)log.Position + 1);
        }

        log.Note(head.Snapshot?.Length ?? 0, bytes);
        if (isTorn)
        {
            // The torn record occupies its position: a snapshot that claims the position deletes it.
            logger.JournalTorn(key.Tag, ++log.Position);
            var snapshot = await ContextSnapshots.CaptureAsync(context, grains);
            if (grains.HasLost)
            {
                return new RecoveredContext(context, grains, log, null, null);
            }

            await log.StoreAsync(snapshot);
        }

        logger.ContextRecovered(key.Tag, head.Epoch, head.SnapshotPosition, log.Position, context.Objects.Count);
        return new RecoveredContext(context, grains, log, null, null);
    }

    private async Task<(DiagnosticReason? Damage, bool IsTorn, long Bytes)> ReplayAsync(
        ContextKey key, IoctlScope scope, ContextJournal log, CancellationToken cancellationToken)
    {
        var bytes = 0L;
        while (await journal.Store.ReadAsync(key, log.Position, PageBytes, cancellationToken) is { Count: > 0 } page)
        {
            for (var i = 0; i < page.Count; i++)
            {
                var (position, frame) = page[i];
                if (position != log.Position + 1)
                {
                    return (DiagnosticReason.JournalDamaged, false, bytes);
                }

                if (Decode<JournalRecord>(key, position, frame) is not { } record)
                {
                    // Only the write under way when the store failed can be torn, and no record follows it.
                    var isLast = i == page.Count - 1 && (await journal.Store.ReadAsync(key, position, 1, cancellationToken)).Count == 0;
                    return isLast ? (null, true, bytes) : (DiagnosticReason.JournalDamaged, false, bytes);
                }

                if (!await record.ReplayAsync(scope with { Asked = ProgramMemory.Replay(record.Memory) }))
                {
                    logger.JournalDiverged(key.Tag, position, record);
                    return (DiagnosticReason.JournalDiverged, false, bytes);
                }

                log.Position = position;
                bytes += frame.Length;
            }
        }

        return (null, false, bytes);
    }

    private RecoveredContext Damaged(ContextKey key, DiagnosticReason reason, ulong position)
    {
        var damage = Failure.Because(reason, position);
        logger.JournalUnusable(key.Tag, damage.ToString());
        return new RecoveredContext(null, null, null, null, damage);
    }

    // The content of an intact frame was written by some version of this program; if it can't be read, it counts as damaged.
    private T? Decode<T>(ContextKey key, long position, byte[] frame)
        where T : class
    {
        if (!JournalFrame.TryDecode(key.Value, position, frame, out var content))
        {
            return null;
        }

        try
        {
            return serializer.Deserialize<T>(content);
        }
        catch (Exception exception)
        {
            logger.JournalUnreadable(exception, key.Tag, position);
            return null;
        }
    }
}
