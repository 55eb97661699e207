using System.Collections.Concurrent;
using IommuFd.Grains.Configuration;
using IommuFd.Uapi;
using Microsoft.Extensions.Options;

namespace IommuFd.Grains.Contexts;

/// <summary>How many contexts a silo has, and whose they are. Thread-safe: every context of the silo counts itself.</summary>
internal sealed class ContextQuota(IOptions<ContextOptions> options)
{
    private readonly ConcurrentDictionary<long, int> _byClient = [];
    private int _count;

    /// <summary>Counts a context that is about to be opened.</summary>
    /// <param name="client">Who opens it; 0 is nobody in particular, and has no limit of its own.</param>
    /// <param name="limit">The limit that is reached.</param>
    /// <returns>0; EMFILE where the opener has as many as it can, ENFILE where the silo has. Nothing is counted then.</returns>
    public Errno TryAdd(long client, out int limit)
    {
        limit = options.Value.MaxContexts;
        if (Interlocked.Increment(ref _count) > limit)
        {
            Interlocked.Decrement(ref _count);
            return Errno.ENFILE;
        }

        limit = options.Value.MaxContextsPerClient;
        if (client != 0 && _byClient.AddOrUpdate(client, 1, static (_, count) => count + 1) > limit)
        {
            Remove(client);
            return Errno.EMFILE;
        }

        return Errno.None;
    }

    /// <summary>Counts a context that came from another silo: nobody can refuse it.</summary>
    public void Add() => Interlocked.Increment(ref _count);

    /// <summary>Counts a context no more.</summary>
    public void Remove(long client)
    {
        Interlocked.Decrement(ref _count);
        if (client != 0 && _byClient.AddOrUpdate(client, 0, static (_, count) => count - 1) <= 0)
        {
            // Only where nobody has counted one in the meantime.
            ((ICollection<KeyValuePair<long, int>>)_byClient).Remove(new(client, 0));
        }
    }
}
