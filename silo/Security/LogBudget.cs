namespace IommuFd.Silo.Security;

/// <summary>How often something is logged that others can make happen as often as they like: a few lines in some seconds. What is beyond is counted, and the next line says how many.</summary>
internal sealed class LogBudget(TimeProvider time)
{
    private const int MostLines = 20;

    private static readonly TimeSpan Period = TimeSpan.FromSeconds(10);

    private readonly Lock _lock = new();
    private DateTimeOffset _began;
    private int _lines;
    private long _unsaid;

    /// <summary>Takes a line.</summary>
    /// <param name="others">How many have had none since the last line.</param>
    /// <returns>Whether there is one.</returns>
    public bool TryTake(out long others)
    {
        lock (_lock)
        {
            others = 0;
            if (time.GetUtcNow() is var now && now - _began >= Period)
            {
                (_began, _lines) = (now, 0);
            }

            if (++_lines > MostLines)
            {
                _unsaid++;
                return false;
            }

            (others, _unsaid) = (_unsaid, 0);
            return true;
        }
    }
}
