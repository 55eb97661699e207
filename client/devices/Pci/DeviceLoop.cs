namespace IommuFd.Devices.Pci;

// A device is one thread of control, as a grain is: its code runs piece by piece between awaits, never two pieces at once. So its registers and queues need no locks,
// and a command that waits for memory does not hold up a reset. The scheduler gives that: what awaits in the loop goes on in the loop.

/// <summary>The single thread of control of a device, on threads of the pool.</summary>
public sealed class DeviceLoop
{
    private readonly TaskFactory _factory = new(
        CancellationToken.None, TaskCreationOptions.DenyChildAttach, TaskContinuationOptions.None, new ConcurrentExclusiveSchedulerPair(TaskScheduler.Default).ExclusiveScheduler);

    /// <summary>Code of the device that nobody waits for has thrown, which is a bug of the device: for its host to log.</summary>
    public event Action<Exception>? Failed;

    /// <summary>Whether the caller runs in the loop.</summary>
    public bool IsCurrent => TaskScheduler.Current == _factory.Scheduler;

    /// <summary>Runs a piece of the device's code.</summary>
    /// <typeparam name="T">What it returns.</typeparam>
    /// <param name="run">The code, which does not block.</param>
    /// <returns>What it has returned.</returns>
    public Task<T> RunAsync<T>(Func<T> run) => _factory.StartNew(run);

    /// <summary>Runs a piece of the device's code that awaits.</summary>
    /// <typeparam name="T">What it returns.</typeparam>
    /// <param name="run">The code, which does not block.</param>
    /// <returns>What it has returned.</returns>
    public Task<T> RunAsync<T>(Func<ValueTask<T>> run) => _factory.StartNew(() => run().AsTask()).Unwrap();

    /// <summary>Runs a piece of the device's code.</summary>
    /// <param name="run">The code, which does not block.</param>
    /// <returns>Completes when it has run.</returns>
    public Task RunAsync(Action run) => _factory.StartNew(run);

    /// <summary>Starts code that awaits, of which nobody waits for the end.</summary>
    /// <param name="run">The code.</param>
    internal void Start(Func<Task> run) => _ = _factory.StartNew(() => RunStartedAsync(run));

    private async Task RunStartedAsync(Func<Task> run)
    {
        try
        {
            await run();
        }
        catch (Exception exception)
        {
            Failed?.Invoke(exception);
        }
    }
}
