namespace IommuFd.Client;

// An attempt that went by a silo that is gone gets no answer, and one that went there by another silo gets none either. A client learns of that when Orleans drops the silo's
// gateway. What waits is then sent again at once: it need not wait until its attempt has had its time.

/// <summary>Tells what waits for an answer that the ways to silos have changed.</summary>
internal sealed class RouteChanges
{
    private TaskCompletionSource _next = New();
    private int _count;

    /// <summary>How many changes there were.</summary>
    public int Count => Volatile.Read(ref _count);

    /// <summary>Completes with the next change.</summary>
    public Task Next => Volatile.Read(ref _next).Task;

    /// <summary>Notes a change.</summary>
    public void Note()
    {
        Interlocked.Increment(ref _count);
        Interlocked.Exchange(ref _next, New()).SetResult();
    }

    private static TaskCompletionSource New() => new(TaskCreationOptions.RunContinuationsAsynchronously);
}
