using System.Collections.Concurrent;
using IommuFd.GrainInterfaces.Wire;

namespace IommuFd.Silo.Gateway;

/// <summary>How many of a thing each user may have at once.</summary>
/// <param name="limit">How many.</param>
/// <param name="what">The things, for people.</param>
internal sealed class Quota(int limit, string what)
{
    private readonly ConcurrentDictionary<string, int> _counts = new();

    /// <summary>Counts one more.</summary>
    /// <returns>Whether it is within the limit. It is counted in any case.</returns>
    public bool TryEnter(string identity) => _counts.AddOrUpdate(identity, 1, static (_, count) => count + 1) <= limit;

    /// <summary>Counts one more.</summary>
    /// <exception cref="FrameException">It is beyond the limit. It is counted in any case.</exception>
    public void Enter(string identity)
    {
        if (!TryEnter(identity))
        {
            throw new FrameException(ByeReason.Limit, $"{identity} has {limit} {what}, more are not permitted");
        }
    }

    /// <summary>Counts one less.</summary>
    public void Leave(string identity)
    {
        // A user who has none is forgotten, unless one is being counted at this moment.
        if (_counts.AddOrUpdate(identity, 0, static (_, count) => count - 1) == 0)
        {
            _counts.TryRemove(new KeyValuePair<string, int>(identity, 0));
        }
    }
}

/// <summary>What the connections of one identity have under way together. Thread-safe.</summary>
/// <param name="identity">The identity.</param>
/// <param name="settings">How much it may have.</param>
internal sealed class IdentityUse(string identity, GatewaySettings settings)
{
    private long _bytes;
    private int _requests;

    /// <summary>Whether it has nothing under way.</summary>
    public bool IsIdle => Volatile.Read(ref _requests) == 0 && Volatile.Read(ref _bytes) == 0;

    /// <summary>A request is under way from now on, unless it is beyond the limit.</summary>
    /// <exception cref="FrameException">It is. It is not counted then.</exception>
    public void Begin(int bytes)
    {
        var (requests, all) = (Interlocked.Increment(ref _requests), Interlocked.Add(ref _bytes, bytes));
        if (requests > settings.MaxUnderWayInAll || all > settings.MaxBytesInAll)
        {
            End(1, bytes);
            throw Refusal(requests, all);
        }
    }

    /// <summary>Requests are over.</summary>
    public void End(int requests, int bytes)
    {
        Interlocked.Add(ref _requests, -requests);
        Interlocked.Add(ref _bytes, -bytes);
    }

    /// <summary>Bytes more wait for the rest of their frame, or less. They are counted in any case.</summary>
    /// <exception cref="FrameException">They are beyond the limit.</exception>
    public void Wait(long more)
    {
        if (Interlocked.Add(ref _bytes, more) is var all && more > 0 && all > settings.MaxBytesInAll)
        {
            throw Refusal(Volatile.Read(ref _requests), all);
        }
    }

    private FrameException Refusal(int requests, long bytes)
        => new(ByeReason.Limit, $"{identity} has {requests} requests and {bytes} bytes under way on all its connections, more than is permitted");
}

/// <summary>What each identity has under way. One that is known stays known: there are as many as users, tokens and certificates.</summary>
internal sealed class IdentityUses(GatewaySettings settings)
{
    private readonly ConcurrentDictionary<string, IdentityUse> _uses = new();

    /// <summary>Whether no identity has anything under way.</summary>
    public bool AreIdle => _uses.Values.All(use => use.IsIdle);

    public IdentityUse Of(string identity) => _uses.GetOrAdd(identity, added => new IdentityUse(added, settings));
}
