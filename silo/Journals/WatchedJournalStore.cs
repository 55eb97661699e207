using IommuFd.GrainInterfaces;
using IommuFd.Grains.Journaling;
using Microsoft.Extensions.Logging;

namespace IommuFd.Silo.Journals;

// Every request of every durable context fails while the store does, and each is repeated: thousands of failures have one cause. It is said when
// it begins, once a minute while it lasts, and when it is over, with the number of failures.
//
// A full disk fails writes only, while reads and confirmations go on. So where a write has failed, the outage is over when one has written.

/// <summary>A store whose outages are logged: each once, with its cause.</summary>
/// <param name="store">The store.</param>
/// <param name="logger">Where outages are logged.</param>
/// <param name="time">The clock.</param>
internal sealed class WatchedJournalStore(IJournalStore store, ILogger<WatchedJournalStore> logger, TimeProvider? time = null) : IJournalStore, IJournalHealth
{
    private static readonly TimeSpan Reminder = TimeSpan.FromMinutes(1);

    private static readonly TimeSpan FailureCounts = TimeSpan.FromSeconds(5);

    private readonly TimeProvider _time = time ?? TimeProvider.System;
    private readonly Lock _lock = new();
    private volatile Outage? _outage;

    /// <inheritdoc/>
    public string Description => store.Description;

    /// <inheritdoc/>
    public string? Problem => _outage?.Reason;

    /// <inheritdoc/>
    public Task InitializeAsync(CancellationToken cancellationToken) => store.InitializeAsync(cancellationToken);

    /// <inheritdoc/>
    public Task<long?> CreateAsync(ContextKey key, string owner, CancellationToken cancellationToken)
        => WatchAsync(store.CreateAsync(key, owner, cancellationToken), epoch => epoch is not null);

    /// <inheritdoc/>
    public Task<JournalHead?> AcquireAsync(ContextKey key, string owner, CancellationToken cancellationToken)
        => WatchAsync(store.AcquireAsync(key, owner, cancellationToken), head => head is { Foreign: null });

    /// <inheritdoc/>
    public Task<IReadOnlyList<JournalEntry>> ReadAsync(ContextKey key, long after, int maxBytes, CancellationToken cancellationToken)
        => WatchAsync(store.ReadAsync(key, after, maxBytes, cancellationToken));

    /// <inheritdoc/>
    public Task<JournalOutcome[]> CommitAsync(IReadOnlyList<JournalWrite> writes, CancellationToken cancellationToken)
        => WatchAsync(
            store.CommitAsync(writes, cancellationToken),
            writes.All(write => write is ConfirmEpoch) ? null : outcomes => outcomes.Zip(writes).Any(made => made is (JournalOutcome.Committed, not ConfirmEpoch)));

    /// <inheritdoc/>
    public Task<IReadOnlyList<JournalInfo>> ListAsync(ContextKey? after, int limit, CancellationToken cancellationToken)
        => WatchAsync(store.ListAsync(after, limit, cancellationToken));

    /// <inheritdoc/>
    public Task<int> PurgeAsync(TimeSpan age, CancellationToken cancellationToken) => WatchAsync(store.PurgeAsync(age, cancellationToken));

    /// <inheritdoc/>
    /// <remarks>
    /// A full disk may have room for this and none for what contexts write. So it fails, without trying, for some seconds after a write of theirs has failed; only where none of
    /// them writes any more, it alone says whether the outage is over.
    /// </remarks>
    public async Task ProbeAsync(CancellationToken cancellationToken)
    {
        if (_outage is { FailedWrite: { } failed } outage && _time.GetElapsedTime(failed) < FailureCounts)
        {
            throw new JournalStoreException(outage.Reason);
        }

        await WatchAsync(ProbeStoreAsync(cancellationToken), _ => true, isProbe: true);
    }

    /// <inheritdoc/>
    public ValueTask DisposeAsync() => store.DisposeAsync();

    private async Task<bool> ProbeStoreAsync(CancellationToken cancellationToken)
    {
        await store.ProbeAsync(cancellationToken);
        return true;
    }

    // hasWritten: whether a result means that something was written; null of what only reads, and of a purge, which mostly finds nothing to delete.
    private async Task<T> WatchAsync<T>(Task<T> operation, Func<T, bool>? hasWritten = null, bool isProbe = false)
    {
        try
        {
            var result = await operation;
            if (_outage is { } outage && (!outage.HasFailedToWrite || hasWritten?.Invoke(result) == true))
            {
                NoteSuccess();
            }

            return result;
        }
        catch (JournalStoreException exception)
        {
            NoteFailure(exception, isWrite: hasWritten is not null, isProbe);
            throw;
        }
    }

    private void NoteFailure(JournalStoreException exception, bool isWrite, bool isProbe)
    {
        lock (_lock)
        {
            var now = _time.GetTimestamp();
            var begins = _outage is null;
            var outage = _outage ?? new Outage(now) { Told = now };
            outage.Failures++;
            outage.Reason = exception.Message;
            outage.HasFailedToWrite |= isWrite;
            outage.FailedWrite = isWrite && !isProbe ? now : outage.FailedWrite;
            _outage = outage;
            if (begins)
            {
                logger.StoreFailed(exception, store.Description, exception.Message);
            }
            else if (_time.GetElapsedTime(outage.Told, now) >= Reminder)
            {
                outage.Told = now;
                logger.StoreStillFailing(store.Description, (long)_time.GetElapsedTime(outage.Begun, now).TotalSeconds, outage.Failures, exception.Message);
            }
        }
    }

    private void NoteSuccess()
    {
        lock (_lock)
        {
            if (_outage is { } outage)
            {
                _outage = null;
                logger.StoreRecovered(store.Description, (long)_time.GetElapsedTime(outage.Begun).TotalSeconds, outage.Failures);
            }
        }
    }

    private sealed class Outage(long begun)
    {
        public long Begun { get; } = begun;

        public long Failures { get; set; }

        public long Told { get; set; }

        public bool HasFailedToWrite { get; set; }

        /// <summary>When a context's write failed last.</summary>
        public long? FailedWrite { get; set; }

        /// <summary>Why, the last time.</summary>
        public string Reason { get; set; } = "";
    }
}
