using IommuFd.Chaos.Outages;
using IommuFd.TestSupport;

namespace IommuFd.Chaos.Faults;

/// <summary>A slot for a silo: whenever its process exits, for any reason, the next is started on the same ports.</summary>
internal sealed class SiloSlot(SiloCluster cluster, SiloProcess first, int number, FaultLog faults, Func<TimeSpan> pauseBeforeRestart, Action<string> log)
{
    private const int LastLines = 12;

    private TaskCompletionSource _nextLife = new(TaskCreationOptions.RunContinuationsAsynchronously);

    /// <summary>The silo's number; 1 is the first.</summary>
    public int Number => number;

    /// <summary>The current process, or the last one.</summary>
    public SiloProcess Current { get; private set; } = first;

    /// <summary>Completes when a process after the current one is up.</summary>
    public Task NextLife => _nextLife.Task;

    /// <summary>Keeps it running until the run ends.</summary>
    public async Task SuperviseAsync(CancellationToken stop)
    {
        while (true)
        {
            await Current.Process.Exited.WaitAsync(stop);

            // One that found itself declared dead has exited by itself.
            using var away = faults.IsAway(number) ? null : faults.Begin(Part.Silo, number, $"silo {number} exited by itself");
            if (away is not null)
            {
                log($"silo {number} exited by itself:\n{string.Join('\n', Current.Process.Output.Split('\n').TakeLast(LastLines))}");
            }

            await Task.Delay(pauseBeforeRestart(), stop);
            Current = cluster.Restart(Current);
            await Task.WhenAny(Current.IsUpAsync(), Current.Process.Exited).WaitAsync(stop);

            // A process that exits during its start, because the cluster was about to lose another silo, is started again, as a supervisor
            // in production does.
            if (!Current.Process.HasExited)
            {
                Interlocked.Exchange(ref _nextLife, new(TaskCreationOptions.RunContinuationsAsynchronously)).SetResult();
            }
        }
    }
}
