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
