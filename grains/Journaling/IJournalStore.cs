using IommuFd.GrainInterfaces;

namespace IommuFd.Grains.Journaling;

// The line between the grains, which know what a journal means, and the silo, which knows where it is kept. A store keeps bytes in order and
// guards them by epochs; it never looks into them. Frames (JournalFrame) carry the checksums, so that damage is found in one place whatever the store.

/// <summary>
/// Keeps the journals of contexts. Thread-safe. One commit takes writes of many contexts (group commit): it is atomic for each of them, and durable when it
/// returns. Where an exception is thrown, each write of the commit may have been made or not; a context finds out by <see cref="AcquireAsync"/>.
/// </summary>
public interface IJournalStore : IAsyncDisposable
{
    /// <summary>The store's name and place, for people; never with a password.</summary>
    string Description { get; }

    /// <summary>Creates the store's schema where there is none, and brings an older one up to date. Called once, before anything else.</summary>
    /// <param name="cancellationToken">Ends it early; nothing is half done then.</param>
    /// <returns>When the store is ready.</returns>
    /// <exception cref="JournalStoreException">The store can't be reached, or its schema is newer than this version knows.</exception>
    Task InitializeAsync(CancellationToken cancellationToken);

    /// <summary>Creates the journal of a context, with epoch 1 and nothing in it.</summary>
    /// <param name="handle">The context.</param>
    /// <param name="owner">The silo that asks, for people and for the sweeper.</param>
    /// <param name="cancellationToken">Ends the waiting.</param>
    /// <returns>The epoch; null where the handle has, or had, a journal.</returns>
    Task<long?> CreateAsync(ContextHandle handle, string owner, CancellationToken cancellationToken);

    /// <summary>Takes a journal over: its epoch grows by 1, and whoever has an earlier one can write no more.</summary>
    /// <param name="handle">The context.</param>
    /// <param name="owner">The silo that asks.</param>
    /// <param name="cancellationToken">Ends the waiting.</param>
    /// <returns>The journal; null where the handle has none.</returns>
    Task<JournalHead?> AcquireAsync(ContextHandle handle, string owner, CancellationToken cancellationToken);

    /// <summary>Reads records in order.</summary>
    /// <param name="handle">The context.</param>
    /// <param name="after">Only records behind this position.</param>
    /// <param name="maxBytes">Stops behind the record that reaches so many bytes; at least one record comes where there is one.</param>
    /// <param name="cancellationToken">Ends the waiting.</param>
    /// <returns>The records; empty at the end.</returns>
    Task<IReadOnlyList<JournalEntry>> ReadAsync(ContextHandle handle, long after, int maxBytes, CancellationToken cancellationToken);

    /// <summary>Makes writes of many contexts in one durable commit. A context has at most one write in it.</summary>
    /// <param name="writes">The writes.</param>
    /// <param name="cancellationToken">Ends the waiting; the writes may be made all the same.</param>
    /// <returns>For each write whether it was made.</returns>
    Task<JournalOutcome[]> CommitAsync(IReadOnlyList<JournalWrite> writes, CancellationToken cancellationToken);

    /// <summary>Lists open journals, by ascending handle.</summary>
    /// <param name="after">Only greater handles, in the store's own order; null starts at the first.</param>
    /// <param name="limit">At most so many.</param>
    /// <param name="cancellationToken">Ends the waiting.</param>
    /// <returns>The journals; empty at the end.</returns>
    Task<IReadOnlyList<JournalInfo>> ListAsync(ContextHandle? after, int limit, CancellationToken cancellationToken);

    /// <summary>Forgets the last words of contexts that were released long ago.</summary>
    /// <param name="age">How long ago at least.</param>
    /// <param name="cancellationToken">Ends the waiting.</param>
    /// <returns>How many were forgotten.</returns>
    Task<int> PurgeAsync(TimeSpan age, CancellationToken cancellationToken);
}

/// <summary>What <see cref="IJournalStore.AcquireAsync"/> found.</summary>
/// <param name="Epoch">The new epoch.</param>
/// <param name="SnapshotPosition">The last record that the snapshot contains; 0 without a snapshot.</param>
/// <param name="Snapshot">The snapshot's frame; null without one.</param>
/// <param name="Released">The frame of the last words of a context that was released; null of one that is open.</param>
public sealed record JournalHead(long Epoch, long SnapshotPosition, byte[]? Snapshot, byte[]? Released);

/// <summary>A record, as it stands in the store.</summary>
/// <param name="Position">Its place: 1 for a context's first record, and 1 more for each.</param>
/// <param name="Frame">The bytes.</param>
public readonly record struct JournalEntry(long Position, byte[] Frame);

/// <summary>An open journal, as the sweeper sees it.</summary>
/// <param name="Handle">The context.</param>
/// <param name="Epoch">The latest epoch.</param>
/// <param name="Owner">The silo that took it over last.</param>
public readonly record struct JournalInfo(ContextHandle Handle, long Epoch, string Owner);

/// <summary>Something to write into a context's journal, if the epoch is still the context's.</summary>
/// <param name="Handle">The context.</param>
/// <param name="Epoch">The epoch of the activation that writes.</param>
public abstract record JournalWrite(ContextHandle Handle, long Epoch);

/// <summary>Writes nothing, and finds out whether the epoch is still the context's: what an answer that changes nothing needs.</summary>
/// <param name="Handle">The context.</param>
/// <param name="Epoch">The epoch.</param>
public sealed record ConfirmEpoch(ContextHandle Handle, long Epoch) : JournalWrite(Handle, Epoch);

/// <summary>Appends a record.</summary>
/// <param name="Handle">The context.</param>
/// <param name="Epoch">The epoch.</param>
/// <param name="Position">The record's place. A place that is taken is a bug of the writer, or damage: the commit throws.</param>
/// <param name="Frame">The bytes.</param>
public sealed record AppendRecord(ContextHandle Handle, long Epoch, long Position, byte[] Frame) : JournalWrite(Handle, Epoch);

/// <summary>Replaces the snapshot, and deletes the records that it contains (compaction).</summary>
/// <param name="Handle">The context.</param>
/// <param name="Epoch">The epoch.</param>
/// <param name="Position">The last record that it contains.</param>
/// <param name="Frame">The bytes.</param>
public sealed record StoreSnapshot(ContextHandle Handle, long Epoch, long Position, byte[] Frame) : JournalWrite(Handle, Epoch);

/// <summary>Deletes records and snapshot of a context that is released, and keeps its last words for whoever asks again.</summary>
/// <param name="Handle">The context.</param>
/// <param name="Epoch">The epoch.</param>
/// <param name="Frame">The last words.</param>
public sealed record ReleaseJournal(ContextHandle Handle, long Epoch, byte[] Frame) : JournalWrite(Handle, Epoch);

/// <summary>What became of a write.</summary>
public enum JournalOutcome
{
    /// <summary>It is made, and durable.</summary>
    Committed = 0,

    /// <summary>It is not made: the epoch is not the context's any more, or the context is released.</summary>
    Fenced,
}

/// <summary>A store can't do what it is asked: it can't be reached, is full, or is newer than this version. Never about one journal's content.</summary>
public sealed class JournalStoreException : Exception
{
    /// <summary>Says what the store could not do.</summary>
    /// <param name="message">What and why.</param>
    /// <param name="inner">The cause.</param>
    public JournalStoreException(string message, Exception? inner = null)
        : base(message, inner)
    {
    }
}
