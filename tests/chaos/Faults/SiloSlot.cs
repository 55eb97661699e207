using IommuFd.TestSupport;

namespace IommuFd.Chaos.Faults;

/// <summary>One silo of the cluster, in one process after the other: whenever one has ended, whyever it did, the next is started on the same ports.</summary>
internal sealed class SiloSlot(SiloCluster cluster, SiloProcess first, Func<TimeSpan> pauseBeforeRestart)
{
    private TaskCompletionSource _nextLife = new(TaskCreationOptions.RunContinuationsAsynchronously);

    /// <summary>The process that is there now, or was there last.</summary>
    public SiloProcess Current { get; private set; } = first;

    /// <summary>Ends when a process that comes after the current one is up.</summary>
    public Task NextLife => _nextLife.Task;

    /// <summary>Keeps it running until the run ends.</summary>
    public async Task SuperviseAsync(CancellationToken stop)
    {
        while (true)
        {
            await Current.Process.Exited.WaitAsync(stop);
            await Task.Delay(pauseBeforeRestart(), stop);
            Current = cluster.Restart(Current);
            await Task.WhenAny(Current.IsUpAsync(), Current.Process.Exited).WaitAsync(stop);

            // One that ends as it starts, since the cluster was about to lose another, is started again, as whatever runs silos in earnest does.
            if (!Current.Process.HasExited)
            {
                Interlocked.Exchange(ref _nextLife, new(TaskCreationOptions.RunContinuationsAsynchronously)).SetResult();
            }
        }
    }
}
