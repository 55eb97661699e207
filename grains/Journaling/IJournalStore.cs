using IommuFd.GrainInterfaces;

namespace IommuFd.Grains.Journaling;

// The line between the grains, which know what a journal means, and the silo, which knows where it is stored. A store keeps frames in order
// and guards them with epochs; it never looks into them. Frames (JournalFrame) carry checksums, so that one place detects damage in every
// store.

/// <summary>
/// Stores the journals of contexts. Thread-safe. One commit takes writes of many contexts (group commit): it is atomic for each context,
/// and durable when it returns. After an exception, the outcome of each write in the commit is unknown; a context learns it from
/// <see cref="AcquireAsync"/>.
/// </summary>
public interface IJournalStore : IAsyncDisposable
{
    /// <summary>The store's name and place, for people; never with a password.</summary>
    string Description { get; }

    /// <summary>Creates the store's schema if there is none, and migrates an older one. Called once, before anything else.</summary>
    /// <param name="cancellationToken">Ends it early, with nothing half done.</param>
    /// <returns>When the store is ready.</returns>
    /// <exception cref="JournalStoreException">The store can't be reached, or its schema is newer than this version knows.</exception>
    Task InitializeAsync(CancellationToken cancellationToken);

    /// <summary>Creates the empty journal of a context, with epoch 1.</summary>
    /// <param name="key">The context.</param>
    /// <param name="owner">The acquiring silo, for people and for the sweeper.</param>
    /// <param name="cancellationToken">Ends the waiting.</param>
    /// <returns>The epoch; null if the context has, or had, a journal.</returns>
    Task<long?> CreateAsync(ContextKey key, string owner, CancellationToken cancellationToken);

    /// <summary>
    /// Acquires a journal: raises its epoch by 1, which fences all earlier epochs' writes. A journal that another cluster's silo has stays there
    /// (<see cref="JournalHead.Foreign"/>, <see cref="JournalOwner"/>).
    /// </summary>
    /// <param name="key">The context.</param>
    /// <param name="owner">The acquiring silo.</param>
    /// <param name="cancellationToken">Ends the waiting.</param>
    /// <returns>The journal; null if the context has none.</returns>
    Task<JournalHead?> AcquireAsync(ContextKey key, string owner, CancellationToken cancellationToken);

    /// <summary>Reads records in order.</summary>
    /// <param name="key">The context.</param>
    /// <param name="after">Only records behind this position.</param>
    /// <param name="maxBytes">Stops after the record that reaches this many bytes; returns at least one record if there is one.</param>
    /// <param name="cancellationToken">Ends the waiting.</param>
    /// <returns>The records; empty at the end.</returns>
    Task<IReadOnlyList<JournalEntry>> ReadAsync(ContextKey key, long after, int maxBytes, CancellationToken cancellationToken);

    /// <summary>Commits writes of many contexts, durably and together. A context has at most one write among them.</summary>
    /// <param name="writes">The writes.</param>
    /// <param name="cancellationToken">Ends the waiting; the writes may still be committed.</param>
    /// <returns>The outcome of each write.</returns>
    Task<JournalOutcome[]> CommitAsync(IReadOnlyList<JournalWrite> writes, CancellationToken cancellationToken);

    /// <summary>Lists open journals, by ascending key.</summary>
    /// <param name="after">Only greater keys, in the store's own order; null starts at the first.</param>
    /// <param name="limit">At most this many.</param>
    /// <param name="cancellationToken">Ends the waiting.</param>
    /// <returns>The journals; empty at the end.</returns>
    Task<IReadOnlyList<JournalInfo>> ListAsync(ContextKey? after, int limit, CancellationToken cancellationToken);

    /// <summary>Deletes the kept replies of contexts that were released long ago.</summary>
    /// <param name="age">The minimum time since the release.</param>
    /// <param name="cancellationToken">Ends the waiting.</param>
    /// <returns>How many were deleted.</returns>
    Task<int> PurgeAsync(TimeSpan age, CancellationToken cancellationToken);

    /// <summary>Commits a write that leaves nothing behind, as durably as a context's: whether the store can be written to now.</summary>
    /// <param name="cancellationToken">Ends the waiting.</param>
    /// <returns>When the write is durable.</returns>
    Task ProbeAsync(CancellationToken cancellationToken);
}

/// <summary>What <see cref="IJournalStore.AcquireAsync"/> found.</summary>
/// <param name="Epoch">The new epoch.</param>
/// <param name="SnapshotPosition">The last record that the snapshot contains; 0 without a snapshot.</param>
/// <param name="Snapshot">The snapshot's frame; null without one.</param>
/// <param name="Released">The frame of a released context's kept reply; null if the context is open.</param>
public sealed record JournalHead(long Epoch, long SnapshotPosition, byte[]? Snapshot, byte[]? Released)
{
    /// <summary>The owner, of another cluster, that has kept the journal: nothing was acquired, and the rest says nothing. Null where it was acquired.</summary>
    public string? Foreign { get; init; }
}

/// <summary>A record in the store.</summary>
/// <param name="Position">Its position: 1 for a context's first record, and 1 more for each next.</param>
/// <param name="Frame">The bytes.</param>
public readonly record struct JournalEntry(long Position, byte[] Frame);

/// <summary>An open journal, as the sweeper sees it.</summary>
/// <param name="Key">The context.</param>
/// <param name="Epoch">The latest epoch.</param>
/// <param name="Owner">The silo that acquired it last.</param>
public readonly record struct JournalInfo(ContextKey Key, long Epoch, string Owner);

/// <summary>A write to a context's journal, made only if the epoch is still the context's.</summary>
/// <param name="Key">The context.</param>
/// <param name="Epoch">The writing activation's epoch.</param>
public abstract record JournalWrite(ContextKey Key, long Epoch);

/// <summary>Writes nothing, but confirms that the epoch is still the context's. A reply that changes nothing requires this.</summary>
/// <param name="Key">The context.</param>
/// <param name="Epoch">The epoch.</param>
public sealed record ConfirmEpoch(ContextKey Key, long Epoch) : JournalWrite(Key, Epoch);

/// <summary>Appends a record.</summary>
/// <param name="Key">The context.</param>
/// <param name="Epoch">The epoch.</param>
/// <param name="Position">The record's position. If it is taken, the writer has a bug or the store is damaged: the commit throws.</param>
/// <param name="Frame">The bytes.</param>
public sealed record AppendRecord(ContextKey Key, long Epoch, long Position, byte[] Frame) : JournalWrite(Key, Epoch);

/// <summary>Replaces the snapshot and deletes the records that the new one contains (compaction).</summary>
/// <param name="Key">The context.</param>
/// <param name="Epoch">The epoch.</param>
/// <param name="Position">The last record that it contains.</param>
/// <param name="Frame">The bytes.</param>
public sealed record StoreSnapshot(ContextKey Key, long Epoch, long Position, byte[] Frame) : JournalWrite(Key, Epoch);

/// <summary>Deletes the records and snapshot of a released context, and keeps the reply to its last Put for a repeat.</summary>
/// <param name="Key">The context.</param>
/// <param name="Epoch">The epoch.</param>
/// <param name="Frame">The reply's frame.</param>
public sealed record ReleaseJournal(ContextKey Key, long Epoch, byte[] Frame) : JournalWrite(Key, Epoch);

/// <summary>The outcome of a write.</summary>
public enum JournalOutcome
{
    /// <summary>It was made and is durable.</summary>
    Committed = 0,

    /// <summary>It was not made: the epoch is no longer the context's, or the context is released.</summary>
    Fenced,
}

/// <summary>A store failed: it can't be reached, is full, or is newer than this version. Never about one journal's content.</summary>
public sealed class JournalStoreException : Exception
{
    /// <summary>Creates the exception.</summary>
    /// <param name="message">What the store could not do, and why.</param>
    /// <param name="inner">The cause.</param>
    public JournalStoreException(string message, Exception? inner = null)
        : base(message, inner)
    {
    }
}
