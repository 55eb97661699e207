using IommuFd.GrainInterfaces;
using IommuFd.Grains.Contexts;
using Microsoft.Extensions.Logging;
using Orleans.Serialization;

namespace IommuFd.Grains.Journaling;

/// <summary>What is left of a context in its journal.</summary>
/// <param name="Context">The context; null where it is released or damaged. Not open where nothing was ever answered.</param>
/// <param name="Grains">The grains of its objects.</param>
/// <param name="Journal">Its journal, taken over.</param>
/// <param name="LastWords">What its last reference was answered; null where it is not released.</param>
/// <param name="Damage">Why it can't be made again; null where it can.</param>
internal sealed record RecoveredContext(ContextModel? Context, ObjectGrains? Grains, ContextJournal? Journal, LastWords? LastWords, IoctlDiagnostic? Damage);

/// <summary>Makes contexts again from their journals.</summary>
internal sealed class ContextRecovery(IJournal journal, Serializer serializer, IGrainFactory grainFactory, ILogger logger)
{
    // Read at a time: enough that a store is not asked often, little enough that many contexts can recover at once.
    private const int PageBytes = 4 << 20;

    /// <summary>Takes a context's journal over and makes the context again.</summary>
    /// <returns>Null where the handle has no journal.</returns>
    /// <exception cref="JournalStoreException">The store can't be reached.</exception>
    public async Task<RecoveredContext?> RecoverAsync(ContextHandle handle, CancellationToken cancellationToken)
    {
        if (await journal.Store.AcquireAsync(handle, journal.Owner, cancellationToken) is not { } head)
        {
            return null;
        }

        if (head.Released is { } released)
        {
            return Decode<LastWords>(handle, 0, released) is { } words ? new RecoveredContext(null, null, null, words, null) : Damaged(handle, DiagnosticReason.JournalDamaged, 0);
        }

        var log = new ContextJournal(journal, serializer, handle, head.Epoch) { Position = head.SnapshotPosition };
        var grains = new ObjectGrains(grainFactory, handle, log.ObjectEpoch, logger);
        var context = new ContextModel();
        var snapshotRecords = Array.Empty<JournalRecord>();
        if (head.Snapshot is { } frame)
        {
            if (Decode<ContextSnapshot>(handle, head.SnapshotPosition, frame) is not { } snapshot)
            {
                return Damaged(handle, DiagnosticReason.JournalDamaged, 0);
            }

            snapshotRecords = snapshot.Records;
            foreach (var record in snapshotRecords)
            {
                if (!await record.ReplayAsync(new IoctlScope(context, grains)))
                {
                    return Damaged(handle, DiagnosticReason.JournalDiverged, (ulong)head.SnapshotPosition);
                }
            }
        }

        var (damage, isTorn) = await ReplayAsync(handle, new IoctlScope(context, grains), log, cancellationToken);
        if (damage is { } reason)
        {
            return Damaged(handle, reason, (ulong)log.Position + 1);
        }

        if (isTorn)
        {
            // The torn record's place is taken: a snapshot that claims it takes it away.
            var records = await ReadAsync(handle, head.SnapshotPosition, log.Position, cancellationToken);
            logger.JournalTorn(handle.ToShortString(), ++log.Position);
            await log.StoreAsync(new ContextSnapshot([.. snapshotRecords, .. records]));
        }

        logger.ContextRecovered(handle.ToShortString(), head.Epoch, head.SnapshotPosition, log.Position, context.Objects.Count);
        return new RecoveredContext(context, grains, log, null, null);
    }

    private async Task<(DiagnosticReason? Damage, bool IsTorn)> ReplayAsync(
        ContextHandle handle, IoctlScope scope, ContextJournal log, CancellationToken cancellationToken)
    {
        while (await journal.Store.ReadAsync(handle, log.Position, PageBytes, cancellationToken) is { Count: > 0 } page)
        {
            for (var i = 0; i < page.Count; i++)
            {
                var (position, frame) = page[i];
                if (position != log.Position + 1)
                {
                    return (DiagnosticReason.JournalDamaged, false);
                }

                if (Decode<JournalRecord>(handle, position, frame) is not { } record)
                {
                    // Only what was being written when the store failed can be torn, and nothing was written after it.
                    var isLast = i == page.Count - 1 && (await journal.Store.ReadAsync(handle, position, 1, cancellationToken)).Count == 0;
                    return isLast ? (null, true) : (DiagnosticReason.JournalDamaged, false);
                }

                if (!await record.ReplayAsync(scope))
                {
                    logger.JournalDiverged(handle.ToShortString(), position, record);
                    return (DiagnosticReason.JournalDiverged, false);
                }

                log.Position = position;
            }
        }

        return (null, false);
    }

    // The records between two places, all of which were read before.
    private async Task<List<JournalRecord>> ReadAsync(ContextHandle handle, long after, long last, CancellationToken cancellationToken)
    {
        var records = new List<JournalRecord>();
        while (after < last && await journal.Store.ReadAsync(handle, after, PageBytes, cancellationToken) is { Count: > 0 } page)
        {
            foreach (var (position, frame) in page.Where(entry => entry.Position <= last))
            {
                records.Add(Decode<JournalRecord>(handle, position, frame)!);
                after = position;
            }
        }

        return records;
    }

    private RecoveredContext Damaged(ContextHandle handle, DiagnosticReason reason, ulong position)
    {
        var damage = new IoctlDiagnostic { Reason = reason, Value = position };
        logger.JournalUnusable(handle.ToShortString(), damage.ToString());
        return new RecoveredContext(null, null, null, null, damage);
    }

    // What a whole frame has was written by a version of this program; one that can't be read is as bad as a damaged one.
    private T? Decode<T>(ContextHandle handle, long position, byte[] frame)
        where T : class
    {
        if (!JournalFrame.TryDecode(handle.Value, position, frame, out var content))
        {
            return null;
        }

        try
        {
            return serializer.Deserialize<T>(content);
        }
        catch (Exception exception)
        {
            logger.JournalUnreadable(exception, handle.ToShortString(), position);
            return null;
        }
    }
}
