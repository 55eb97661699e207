using System.Diagnostics;
using System.Threading.Channels;
using IommuFd.Grains.Journaling;
using Microsoft.Extensions.Logging;

namespace IommuFd.Silo.Journals;

// A durable commit costs the same for one write and for hundreds, since it waits for the disk. So one loop takes all queued writes, in
// order, and commits them together; writes that arrive meanwhile go into the next commit. Under light load a write waits for no other;
// under heavy load commits grow by themselves. There is no timer.
//
// The loop never runs a writer's code: a write completes on the scheduler that its writer awaits on, for a grain that of its activation.

/// <summary>
/// Gathers the writes of a silo's contexts into commits of its store. Thread-safe. Disposal commits the queued writes and refuses new ones.
/// </summary>
public sealed class GroupCommitJournal : IJournal, IAsyncDisposable
{
    private readonly Channel<Waiting> _queue;
    private readonly ILogger _logger;
    private readonly JournalMetrics? _metrics;
    private readonly int _maxBatch;
    private readonly long _maxBatchBytes;
    private readonly Task _loop;

    /// <summary>Starts the loop.</summary>
    /// <param name="store">The store, initialized before the first write. The caller disposes it, after this journal.</param>
    /// <param name="owner">The silo's name as an owner of journals.</param>
    /// <param name="settings">The bounds of a commit and of the queue.</param>
    /// <param name="logger">Logs failed commits.</param>
    /// <param name="metrics">Measures writes and commits; null for none.</param>
    public GroupCommitJournal(IJournalStore store, string owner, JournalSettings settings, ILogger<GroupCommitJournal> logger, JournalMetrics? metrics = null)
    {
        ArgumentNullException.ThrowIfNull(store);
        ArgumentNullException.ThrowIfNull(settings);
        JournalLimits.CheckOwner(owner);
        (Store, Owner, _logger, _metrics) = (store, owner, logger, metrics);
        (_maxBatch, _maxBatchBytes) = (settings.MaxBatch, settings.MaxBatchBytes);
        _queue = Channel.CreateBounded<Waiting>(new BoundedChannelOptions(settings.MaxQueue) { SingleReader = true });
        _loop = Task.Run(CommitAllAsync);
    }

    /// <inheritdoc/>
    public IJournalStore Store { get; }

    /// <inheritdoc/>
    public string Owner { get; }

    /// <inheritdoc/>
    public ValueTask<JournalOutcome> WriteAsync(JournalWrite write)
    {
        // Checked here, where a bad write fails only its writer; in a commit it would fail every write of the batch.
        JournalLimits.CheckWrite(write);
        var waiting = new Waiting(write);
        return _queue.Writer.TryWrite(waiting) ? new ValueTask<JournalOutcome>(waiting.Done.Task) : WriteWhenThereIsRoomAsync(waiting);
    }

    /// <summary>Refuses new writes and commits the queued ones.</summary>
    /// <returns>A task that completes after the last commit.</returns>
    public async ValueTask DisposeAsync()
    {
        _queue.Writer.TryComplete();
        await _loop;
    }

    private async ValueTask<JournalOutcome> WriteWhenThereIsRoomAsync(Waiting waiting)
    {
        try
        {
            await _queue.Writer.WriteAsync(waiting);
        }
        catch (ChannelClosedException)
        {
            throw new JournalStoreException($"The journal in {Store.Description} is closed because its silo is stopping. The write was not made.");
        }

        return await waiting.Done.Task;
    }

    private async Task CommitAllAsync()
    {
        var batch = new List<Waiting>();
        var keys = new HashSet<Guid>();
        while (await _queue.Reader.WaitToReadAsync())
        {
            if (batch.Count > 1)
            {
                // With several writers active, yield once: those just acknowledged are ahead in the pool's queue and add their next writes first.
                // Otherwise the next batch would hold only the first of these. A lone writer does not wait.
                await Task.Yield();
            }

            var bytes = Take(batch, keys);
            await CommitAsync(batch, bytes);
        }
    }

    /// <summary>Takes queued writes in order, up to the bounds, and stops before a context's second write.</summary>
    private long Take(List<Waiting> batch, HashSet<Guid> keys)
    {
        batch.Clear();
        keys.Clear();
        long bytes = 0;
        while (batch.Count < _maxBatch && _queue.Reader.TryPeek(out var next)
            && (batch.Count == 0 || bytes + JournalLimits.Bytes(next.Write) <= _maxBatchBytes)
            && keys.Add(next.Write.Key.Value))
        {
            _queue.Reader.TryRead(out _);
            bytes += JournalLimits.Bytes(next.Write);
            batch.Add(next);
        }

        return bytes;
    }

    private async Task CommitAsync(List<Waiting> batch, long bytes)
    {
        try
        {
            var outcomes = await Store.CommitAsync(batch.ConvertAll(waiting => waiting.Write), CancellationToken.None);
            if (outcomes.Length != batch.Count)
            {
                throw new JournalStoreException($"{Store.Description} returned {outcomes.Length} outcomes for a commit of {batch.Count} writes.");
            }

            _metrics?.NoteCommit(batch.Count);
            for (var i = 0; i < outcomes.Length; i++)
            {
                _metrics?.NoteWrite(batch[i].Write, batch[i].Begun, null);
                batch[i].Done.SetResult(outcomes[i]);
            }
        }
#pragma warning disable CA1031 // Any failure goes to the batch's writers; the loop must go on for later ones.
        catch (Exception exception)
#pragma warning restore CA1031
        {
            _logger.CommitFailed(exception, batch.Count, bytes, Store.Description);
            var message = exception is JournalStoreException ? exception.Message : $"Commit failed in {Store.Description}: {exception.Message}";
            foreach (var waiting in batch)
            {
                _metrics?.NoteWrite(waiting.Write, waiting.Begun, exception);

                // One exception per writer: rethrowing it adds the writer's stack.
                waiting.Done.SetException(new JournalStoreException(message, exception));
            }
        }
    }

    private sealed record Waiting(JournalWrite Write)
    {
        public long Begun { get; } = Stopwatch.GetTimestamp();

        public TaskCompletionSource<JournalOutcome> Done { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);
    }
}
