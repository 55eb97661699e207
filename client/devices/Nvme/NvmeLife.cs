using System.Buffers.Binary;

namespace IommuFd.Devices.Nvme;

// From enabling the controller to its reset. Entries are fetched in runs, their commands run side by side, and their completions are posted in runs, each queue by
// itself. What is running when the controller is reset is given up, and whatever ends afterwards finds that this life is over, and changes nothing.
//
// What the host does not take, from its completion queues, bounds what is fetched for it.

/// <summary>One life of a controller: its queues, and the commands in them.</summary>
internal sealed class NvmeLife : IDisposable
{
    private const int MaxRunning = 1024;
    private const int FetchedAtOnce = 64;
    private const uint DoNotRetry = 1U << 31;

    private readonly NvmeFunction _function;
    private readonly CancellationTokenSource _over = new();
    private readonly NvmeAdmin _admin;
    private readonly NvmeIo _io;

    public NvmeLife(NvmeFunction function, NvmeIdentify identify, NvmeLogs logs, INvmeNamespace store)
    {
        (_function, Logs) = (function, logs);
        Features = new NvmeFeatures(NvmeFunction.MaxQueues, Vectors, logs);
        _admin = new NvmeAdmin(this, function.Dma, identify, logs);
        _io = new NvmeIo(function.Dma, store, logs);
    }

    public NvmeFeatures Features { get; }

    public Dictionary<int, NvmeSubmissionQueue> Submissions { get; } = [];

    public Dictionary<int, NvmeCompletionQueue> Completions { get; } = [];

    /// <summary>Interrupts that there are.</summary>
    public int Vectors => _function.Interrupts.Count;

    /// <summary>Whether the controller was reset since.</summary>
    public bool IsOver => _over.IsCancellationRequested;

    private NvmeLogs Logs { get; }

    public void Add(NvmeCompletionQueue queue)
    {
        Completions.Add(queue.Id, queue);
        _function.ClearDoorbell(queue.Id, isCompletion: true);
    }

    public void Add(NvmeSubmissionQueue queue)
    {
        queue.Completions.Users++;
        Submissions.Add(queue.Id, queue);
        _function.ClearDoorbell(queue.Id, isCompletion: false);
    }

    public void Remove(NvmeSubmissionQueue queue)
    {
        if (Submissions.Remove(queue.Id))
        {
            queue.Completions.Users--;
        }
    }

    public void Remove(NvmeCompletionQueue queue) => Completions.Remove(queue.Id);

    /// <summary>Ends it.</summary>
    public void Dispose() => _over.Cancel();

    /// <summary>A doorbell has a new value; false for one that it can't have.</summary>
    public bool Ring(NvmeSubmissionQueue queue, uint tail)
    {
        if (tail >= queue.Size)
        {
            _admin.NoteDoorbell(isValue: true);
            return false;
        }

        queue.Tail = (int)tail;
        Fetch(queue);
        return true;
    }

    /// <summary>A doorbell has a new value; false for one that it can't have: a head lies within what was posted.</summary>
    public bool Ring(NvmeCompletionQueue queue, uint head)
    {
        var posted = ((queue.Tail - queue.Head) + queue.Size) % queue.Size;
        if (head >= queue.Size || (((int)head - queue.Head) + queue.Size) % queue.Size > posted)
        {
            _admin.NoteDoorbell(isValue: true);
            return false;
        }

        queue.Head = (int)head;
        Post(queue);
        return true;
    }

    /// <summary>A doorbell of no queue was written.</summary>
    public void NoteNoQueue() => _admin.NoteDoorbell(isValue: false);

    private void Fetch(NvmeSubmissionQueue queue)
    {
        if (!queue.IsFetching && queue.Head != queue.Tail)
        {
            queue.IsFetching = true;
            _function.Loop.Start(() => FetchAsync(queue));
        }
    }

    private async Task FetchAsync(NvmeSubmissionQueue queue)
    {
        while (!IsOver && !queue.IsDeleted && queue.Head != queue.Tail && RoomOf(queue) > 0)
        {
            var run = (queue.Tail > queue.Head ? queue.Tail : queue.Size) - queue.Head;
            var count = Math.Min(Math.Min(run, FetchedAtOnce), RoomOf(queue));
            var entries = new byte[count * NvmeRegister.SubmissionBytes];
            var address = queue.Address + ((ulong)queue.Head * NvmeRegister.SubmissionBytes);
            var result = await _function.Dma.ReadAsync(address, entries, cancellationToken: _over.Token);
            if (IsOver || queue.IsDeleted)
            {
                break;
            }

            if (!result.IsDone)
            {
                _function.Fail();
                break;
            }

            queue.Head = (queue.Head + count) % queue.Size;
            for (var i = 0; i < count; i++)
            {
                Begin(queue, new NvmeCommand(entries.AsSpan(i * NvmeRegister.SubmissionBytes, NvmeRegister.SubmissionBytes)));
            }
        }

        queue.IsFetching = false;
    }

    private static int RoomOf(NvmeSubmissionQueue queue) => MaxRunning - queue.Running.Count - queue.Completions.Waiting.Count;

    private void Begin(NvmeSubmissionQueue queue, NvmeCommand command)
    {
        var running = new NvmeRunning(_over.Token);
        if (!queue.Running.TryAdd(command.Id, running))
        {
            running.Dispose();
            Complete(queue, command, NvmeStatus.CommandIdConflict);
            return;
        }

        _function.Loop.Start(() => RunAsync(queue, command, running));
    }

    private async Task RunAsync(NvmeSubmissionQueue queue, NvmeCommand command, NvmeRunning running)
    {
        NvmeOutcome outcome;
        try
        {
            outcome = queue.Id == 0 ? await _admin.RunAsync(command, running.Token) : await _io.RunAsync(command, Features.HasWriteCache, running.Token);
        }
        catch (Exception exception) when (exception is not OutOfMemoryException)
        {
            outcome = NvmeStatus.InternalError;
        }

        if (IsOver)
        {
            return;
        }

        Complete(queue, command, outcome.Status == NvmeStatus.AbortRequested ? running.AbortStatus : outcome);
        queue.End(command.Id);
        if (!queue.IsDeleted)
        {
            Fetch(queue);
        }
    }

    private void Complete(NvmeSubmissionQueue queue, NvmeCommand command, NvmeOutcome outcome)
    {
        if (outcome.Status != NvmeStatus.Success)
        {
            Logs.NoteError(queue.Id, command, outcome.Status);
        }

        queue.Completions.Waiting.Enqueue(new NvmeCompletion(queue, command.Id, outcome));
        Post(queue.Completions);
    }

    private void Post(NvmeCompletionQueue queue)
    {
        _function.UpdatePin(this);
        if (!queue.IsPosting && queue.Waiting.Count > 0)
        {
            queue.IsPosting = true;
            _function.Loop.Start(() => PostAsync(queue));
        }
    }

    private async Task PostAsync(NvmeCompletionQueue queue)
    {
        while (!IsOver && queue.Waiting.Count > 0 && queue.Room > 0)
        {
            var count = Math.Min(queue.Waiting.Count, queue.Room);
            var entries = new byte[count * NvmeRegister.CompletionBytes];
            for (var i = 0; i < count; i++)
            {
                Encode(queue.Waiting.Dequeue(), queue.Phase, entries.AsSpan(i * NvmeRegister.CompletionBytes));
            }

            // The host may see the entries, and say so, before this goes on: by then they count as posted.
            var address = queue.Address + ((ulong)queue.Tail * NvmeRegister.CompletionBytes);
            queue.Advance(count);
            var result = await _function.Dma.WriteAsync(address, entries, cancellationToken: _over.Token);
            if (IsOver)
            {
                return;
            }

            if (!result.IsDone)
            {
                _function.Fail();
                return;
            }

            _function.Tell(this, queue);
            foreach (var submissions in Submissions.Values)
            {
                Fetch(submissions);
            }
        }

        queue.IsPosting = false;
    }

    private static void Encode(NvmeCompletion completion, bool phase, Span<byte> entry)
    {
        BinaryPrimitives.WriteUInt32LittleEndian(entry, completion.Outcome.Value);
        BinaryPrimitives.WriteUInt32LittleEndian(entry[8..], (uint)completion.Queue.Head | ((uint)completion.Queue.Id << 16));
        var status = (uint)completion.Outcome.Status << 17;
        var isFinal = completion.Outcome.Status is not (NvmeStatus.Success or NvmeStatus.AbortRequested or NvmeStatus.AbortedBySqDeletion or NvmeStatus.InternalError);
        BinaryPrimitives.WriteUInt32LittleEndian(entry[12..], completion.Command | (phase ? 1U << 16 : 0) | status | (isFinal ? DoNotRetry : 0));
    }
}
