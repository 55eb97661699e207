namespace IommuFd.Devices.Nvme;

/// <summary>A command that is running.</summary>
internal sealed class NvmeRunning(CancellationToken life) : IDisposable
{
    private readonly CancellationTokenSource _stop = CancellationTokenSource.CreateLinkedTokenSource(life);

    /// <summary>Cancelled when it is given up.</summary>
    public CancellationToken Token => _stop.Token;

    /// <summary>How it ends if it is given up.</summary>
    public NvmeStatus AbortStatus { get; private set; } = NvmeStatus.AbortRequested;

    public void Abort(NvmeStatus status)
    {
        AbortStatus = status;
        _stop.Cancel();
    }

    public void Dispose() => _stop.Dispose();
}

/// <summary>A submission queue. The host writes its tail, the controller its head.</summary>
internal sealed class NvmeSubmissionQueue(int id, ulong address, int size, NvmeCompletionQueue completions)
{
    private TaskCompletionSource? _idle;

    public int Id { get; } = id;

    public ulong Address { get; } = address;

    public int Size { get; } = size;

    public NvmeCompletionQueue Completions { get; } = completions;

    public int Head { get; set; }

    public int Tail { get; set; }

    /// <summary>Whether entries are being fetched.</summary>
    public bool IsFetching { get; set; }

    /// <summary>Whether it was deleted: nothing is fetched from it any more.</summary>
    public bool IsDeleted { get; private set; }

    /// <summary>The commands that are running, by their ids.</summary>
    public Dictionary<ushort, NvmeRunning> Running { get; } = [];

    /// <summary>Takes a command out that has ended.</summary>
    public void End(ushort command)
    {
        if (Running.Remove(command, out var running))
        {
            running.Dispose();
        }

        if (Running.Count == 0)
        {
            _idle?.TrySetResult();
        }
    }

    /// <summary>Gives up its commands, and waits for their ends.</summary>
    public Task DeleteAsync()
    {
        IsDeleted = true;
        foreach (var running in Running.Values.ToList())
        {
            running.Abort(NvmeStatus.AbortedBySqDeletion);
        }

        _idle = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        return Running.Count == 0 ? Task.CompletedTask : _idle.Task;
    }
}

/// <summary>A completion that waits for room in its queue.</summary>
internal readonly record struct NvmeCompletion(NvmeSubmissionQueue Queue, ushort Command, NvmeOutcome Outcome);

/// <summary>A completion queue. The controller writes its tail, the host its head.</summary>
internal sealed class NvmeCompletionQueue(int id, ulong address, int size, int? vector)
{
    public int Id { get; } = id;

    public ulong Address { get; } = address;

    public int Size { get; } = size;

    /// <summary>The interrupt that tells of completions; null for none.</summary>
    public int? Vector { get; } = vector;

    public int Head { get; set; }

    public int Tail { get; set; }

    /// <summary>The phase tag of the entries of this round.</summary>
    public bool Phase { get; set; } = true;

    public bool IsPosting { get; set; }

    /// <summary>Submission queues that complete here.</summary>
    public int Users { get; set; }

    public Queue<NvmeCompletion> Waiting { get; } = [];

    /// <summary>Whether the host has entries to look at.</summary>
    public bool HasEntries => Head != Tail;

    /// <summary>Entries that fit from the tail on, up to the end of the ring.</summary>
    public int Room => Tail >= Head ? Size - Tail - (Head == 0 ? 1 : 0) : Head - Tail - 1;

    public void Advance(int entries)
    {
        Tail += entries;
        if (Tail == Size)
        {
            (Tail, Phase) = (0, !Phase);
        }
    }
}
