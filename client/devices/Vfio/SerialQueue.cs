namespace IommuFd.Devices.Vfio;

/// <summary>Runs operations that await one after the other, in the order in which they come.</summary>
internal sealed class SerialQueue
{
    private readonly Lock _lock = new();
    private Task _last = Task.CompletedTask;

    public Task<T> RunAsync<T>(Func<Task<T>> run)
    {
        lock (_lock)
        {
            var next = RunAfterAsync(_last, run);
            _last = next;
            return next;
        }
    }

    private static async Task<T> RunAfterAsync<T>(Task before, Func<Task<T>> run)
    {
        await before.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing | ConfigureAwaitOptions.ForceYielding);
        return await run();
    }
}
