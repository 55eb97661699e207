namespace IommuFd.Linearizability;

// Lowe's memoisation of Wing & Gong's search: which operations are linearized and the state that they led to decide all that can follow, in whichever
// order they were taken. Operations with an unknown outcome may be left out, so that of two ways to the same answered operations and the same state, the one
// that has used fewer of those can do all that the other can: only where no such way was gone before is it worth going on.

/// <summary>Where the search has been.</summary>
internal sealed class Configurations<TState>
    where TState : IEquatable<TState>
{
    private readonly Dictionary<(OperationSet.Frozen Answered, TState State), List<OperationSet.Frozen>> _seen = [];

    /// <summary>Notes a configuration.</summary>
    /// <param name="answered">The answered operations that are linearized.</param>
    /// <param name="unknown">Those with an unknown outcome that were taken to have run.</param>
    /// <param name="state">The state.</param>
    /// <returns>False where the search has been there, or where it could do all that it can do now.</returns>
    public bool TryAdd(OperationSet answered, OperationSet unknown, TState state)
    {
        var key = (answered.Freeze(), state);
        var used = unknown.Freeze();
        if (!_seen.TryGetValue(key, out var before))
        {
            _seen.Add(key, [used]);
            return true;
        }

        if (before.Exists(fewer => fewer.IsSubsetOf(used)))
        {
            return false;
        }

        before.RemoveAll(used.IsSubsetOf);
        before.Add(used);
        return true;
    }
}
