using System.Net;
using IommuFd.Silo.Security;
using Microsoft.Extensions.Logging;

namespace IommuFd.Silo.Gateway.Remote;

/// <summary>Logs which clients the gateway's port has refused. A flood does not fill the log.</summary>
internal sealed class RefusalLog(ILogger logger, TimeProvider time)
{
    private readonly LogBudget _budget = new(time);
    private long _count;

    /// <summary>How many clients were refused.</summary>
    public long Count => Volatile.Read(ref _count);

    /// <summary>A client was refused.</summary>
    /// <param name="from">Its address.</param>
    /// <param name="who">Its identity; null for one that has proved none.</param>
    /// <param name="reason">Why.</param>
    public void Add(IPAddress from, string? who, string reason)
    {
        Interlocked.Increment(ref _count);
        if (_budget.TryTake(out var others))
        {
            logger.PeerRefused(from, who ?? "nobody", reason, others);
        }
    }
}
