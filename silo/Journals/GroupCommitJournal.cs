using System.Diagnostics;
using System.Threading.Channels;
using IommuFd.Grains.Journaling;
using Microsoft.Extensions.Logging;

namespace IommuFd.Silo.Journals;

// A durable commit costs the same for one write and for hundreds: what it waits for is the disk. So one loop takes all writes that wait, in their
// order, and commits them together; those that come meanwhile wait for the next round. Under light load a write waits for nobody, under heavy load
// commits grow by themselves; there is no timer.
//
// The loop never runs a writer's code: a write's completion is handed to the scheduler its writer awaits on, which for a grain is its activation's.

/// <summary>Gathers the writes of a silo's contexts into commits of its store. Thread-safe. Disposing it makes the writes that wait, and refuses others.</summary>
public sealed class GroupCommitJournal : IJournal, IAsyncDisposable
{
    private readonly Channel<Waiting> _queue;
    private readonly ILogger _logger;
    private readonly JournalMetrics? _metrics;
    private readonly int _maxBatch;
    private readonly long _maxBatchBytes;
    private readonly Task _loop;

    /// <summary>Starts the loop.</summary>
    /// <param name="store">The store, initialized before the first write. It stays the caller's to dispose, after this.</param>
    /// <param name="owner">The silo's name as an owner of journals.</param>
    /// <param name="settings">The bounds of a commit and of the queue.</param>
    /// <param name="logger">Where failed commits are told.</param>
    /// <param name="metrics">What measures writes and commits; null for nothing.</param>
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
        // Here, where it fails its writer, and not in a commit, where it would fail everybody in it.
        JournalLimits.CheckWrite(write);
        var waiting = new Waiting(write);
        return _queue.Writer.TryWrite(waiting) ? new ValueTask<JournalOutcome>(waiting.Done.Task) : WriteWhenThereIsRoomAsync(waiting);
    }

    /// <summary>Refuses further writes, and ends when those that wait are made.</summary>
    /// <returns>When the last commit has ended.</returns>
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
            throw new JournalStoreException($"The journal in {Store.Description} is closed, since its silo stops. The write is not made.");
        }

        return await waiting.Done.Task;
    }

    private async Task CommitAllAsync()
    {
        var batch = new List<Waiting>();
        var handles = new HashSet<Guid>();
        while (await _queue.Reader.WaitToReadAsync())
        {
            if (batch.Count > 1)
            {
                // Several are at work, and those that were just answered write again when their turns have run: behind those, in the pool's queue, there is more to take than the
                // first that comes. One alone waits for nobody.
                await Task.Yield();
            }

            var bytes = Take(batch, handles);
            await CommitAsync(batch, bytes);
        }
    }

    /// <summary>Takes writes in their order, up to the bounds, and up to a second write of a context that has one already.</summary>
    private long Take(List<Waiting> batch, HashSet<Guid> handles)
    {
        batch.Clear();
        handles.Clear();
        long bytes = 0;
        while (batch.Count < _maxBatch && _queue.Reader.TryPeek(out var next)
            && (batch.Count == 0 || bytes + JournalLimits.Bytes(next.Write) <= _maxBatchBytes)
            && handles.Add(next.Write.Handle.Value))
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
                throw new JournalStoreException($"{Store.Description} answered {outcomes.Length} outcomes to a commit of {batch.Count} writes.");
            }

            _metrics?.NoteCommit(batch.Count);
            for (var i = 0; i < outcomes.Length; i++)
            {
                _metrics?.NoteWrite(batch[i].Write, batch[i].Begun, null);
                batch[i].Done.SetResult(outcomes[i]);
            }
        }
#pragma warning disable CA1031 // Whatever it is, it is the writers' to know; the loop serves those who come after.
        catch (Exception exception)
#pragma warning restore CA1031
        {
            _logger.CommitFailed(exception, batch.Count, bytes, Store.Description);
            var message = exception is JournalStoreException ? exception.Message : $"A commit in {Store.Description} failed: {exception.Message}";
            foreach (var waiting in batch)
            {
                _metrics?.NoteWrite(waiting.Write, waiting.Begun, exception);

                // One for each: an exception collects the stack of whoever it is thrown to.
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
