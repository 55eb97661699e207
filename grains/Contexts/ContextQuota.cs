using System.Collections.Concurrent;
using IommuFd.Grains.Configuration;
using IommuFd.Uapi;
using Microsoft.Extensions.Options;

namespace IommuFd.Grains.Contexts;

/// <summary>
/// Decides whether a silo may have another context: by how many it has, how many their opener has, and whether the silo stops. A context
/// counts from before it is opened, so <c>ContextDirectory</c>, the list of open contexts, can't decide it. Thread-safe: each
/// context admits itself.
/// </summary>
internal sealed class ContextQuota(IOptions<ContextOptions> options)
{
    private readonly ConcurrentDictionary<long, int> _byClient = [];
    private int _count;
    private volatile bool _isClosed;

    /// <summary>Whether the silo stops, so that no volatile context may be opened on it: it would have to leave at once.</summary>
    public bool IsClosed => _isClosed;

    /// <summary>From now on no volatile context may be opened.</summary>
    public void Close() => _isClosed = true;

    /// <summary>Admits a context that is about to be opened.</summary>
    /// <param name="client">The opener; 0 for an unnamed one, which has no limit of its own.</param>
    /// <param name="most">The most contexts of the opener; 0 for the silo's own limit, which is never exceeded.</param>
    /// <param name="limit">The limit that is reached.</param>
    /// <returns>0; EMFILE where the opener has as many as it can, ENFILE where the silo has. Nothing is counted then.</returns>
    public Errno TryAdmit(long client, int most, out int limit)
    {
        limit = options.Value.MaxContexts;
        if (Interlocked.Increment(ref _count) > limit)
        {
            Interlocked.Decrement(ref _count);
            return Errno.ENFILE;
        }

        limit = most > 0 ? Math.Min(most, options.Value.MaxContextsPerClient) : options.Value.MaxContextsPerClient;
        if (client != 0 && _byClient.AddOrUpdate(client, 1, static (_, count) => count + 1) > limit)
        {
            Leave(client);
            return Errno.EMFILE;
        }

        return Errno.None;
    }

    /// <summary>Admits a context that was open before, here or on another silo. It is never refused, and counts for no opener.</summary>
    public void AdmitResumed() => Interlocked.Increment(ref _count);

    /// <summary>Stops counting a context.</summary>
    /// <param name="client">The opener that it was admitted for.</param>
    public void Leave(long client)
    {
        Interlocked.Decrement(ref _count);
        if (client != 0 && _byClient.AddOrUpdate(client, 0, static (_, count) => count - 1) <= 0)
        {
            // Removes the entry only if it still counts 0.
            ((ICollection<KeyValuePair<long, int>>)_byClient).Remove(new(client, 0));
        }
    }
}
