using System.Collections.Concurrent;
using IommuFd.GrainInterfaces;

namespace IommuFd.Grains.Journaling;

/// <summary>
/// Durable contexts whose activation on this silo deactivated without a successor: a commit failed, or another activation has taken over. The next call
/// recovers each of them. Where no client is left to make it, the silo does, so that their leases can end.
/// </summary>
public sealed class AbandonedContexts
{
    private readonly ConcurrentDictionary<ContextKey, bool> _keys = [];

    /// <summary>Adds a context.</summary>
    /// <param name="key">The context.</param>
    public void Add(ContextKey key) => _keys[key] = true;

    /// <summary>Takes all of them out.</summary>
    /// <returns>Their keys.</returns>
    public IReadOnlyList<ContextKey> TakeAll() => [.. _keys.Keys.Where(key => _keys.TryRemove(key, out _))];
}
