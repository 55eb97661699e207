namespace IommuFd.Silo.Dashboard.Health;

/// <summary>A question that may stay without an answer for long: as long as it is, it is not asked again, however many wait for it.</summary>
/// <param name="ask">Asks.</param>
internal sealed class PatientQuestion(Func<Task> ask)
{
    private readonly Lock _lock = new();
    private Task? _asked;

    /// <summary>Whether it is answered within <see cref="Probe.Patience"/>. Throws what the answer throws.</summary>
    public async Task<bool> IsAnsweredAsync(CancellationToken cancellationToken)
    {
        Task asked;
        lock (_lock)
        {
            asked = _asked is { IsCompleted: false } ? _asked : _asked = Task.Run(ask, CancellationToken.None);
        }

        try
        {
            await asked.WaitAsync(Probe.Patience, cancellationToken);
            return true;
        }
        catch (TimeoutException) when (!asked.IsCompleted)
        {
            return false;
        }
    }
}
