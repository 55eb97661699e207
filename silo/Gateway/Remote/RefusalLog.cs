using System.Net;
using Microsoft.Extensions.Logging;

namespace IommuFd.Silo.Gateway.Remote;

/// <summary>Logs which clients the gateway's port has refused. A flood does not fill the log: what is beyond a few lines in some seconds is counted, and the next line says how many.</summary>
internal sealed class RefusalLog(ILogger logger, TimeProvider time)
{
    private const int MostLines = 20;

    private static readonly TimeSpan Period = TimeSpan.FromSeconds(10);

    private readonly Lock _lock = new();
    private DateTimeOffset _began;
    private int _lines;
    private long _unsaid;
    private long _count;

    /// <summary>How many clients were refused.</summary>
    public long Count => Volatile.Read(ref _count);

    /// <summary>A client was refused.</summary>
    /// <param name="from">Its address.</param>
    /// <param name="who">Its identity; null for one that has proved none.</param>
    /// <param name="reason">Why.</param>
    public void Add(IPAddress from, string? who, string reason)
    {
        long others;
        lock (_lock)
        {
            _count++;
            if (time.GetUtcNow() is var now && now - _began >= Period)
            {
                (_began, _lines) = (now, 0);
            }

            if (++_lines > MostLines)
            {
                _unsaid++;
                return;
            }

            (others, _unsaid) = (_unsaid, 0);
        }

        logger.PeerRefused(from, who ?? "nobody", reason, others);
    }
}
