using System.Net;

namespace IommuFd.Silo.Security;

/// <summary>Slows guesses of a web server's tokens down, by address, and logs them.</summary>
/// <param name="log">Logs a refused token: the address, why, and how many others were not logged.</param>
/// <param name="time">The clock.</param>
internal sealed class TokenGuard(Action<string, string, long> log, TimeProvider time)
{
    private readonly FailedAttempts _failed = new(FailedAttempts.Usual, time);
    private readonly LogBudget _budget = new(time);

    /// <summary>Looks at a token, unless its address has given too many wrong ones lately: then right ones are refused too, or guesses would be as fast as ever.</summary>
    /// <param name="from">The address; null is taken for one.</param>
    /// <param name="find">Whom the token is of; null for nobody.</param>
    /// <param name="wait">How long the address must wait; zero where it need not.</param>
    /// <returns>Whom the token is of; null where it is refused.</returns>
    public T? Find<T>(IPAddress? from, Func<T?> find, out TimeSpan wait)
        where T : class
    {
        from ??= IPAddress.None;
        wait = _failed.Wait(from);
        if (wait > TimeSpan.Zero)
        {
            Log(from, "too many wrong tokens came from there");
            return null;
        }

        if (find() is { } found)
        {
            return found;
        }

        _failed.Add(from);
        Log(from, "the token is wrong");
        return null;
    }

    private void Log(IPAddress from, string reason)
    {
        if (_budget.TryTake(out var others))
        {
            log(from.ToString(), reason, others);
        }
    }
}
