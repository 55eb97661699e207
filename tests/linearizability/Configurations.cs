namespace IommuFd.Linearizability;

// Lowe's memoisation of Wing & Gong's search: the set of linearized operations and the resulting state determine what can follow, in
// whatever order the operations were taken. Operations with an unknown outcome may be left out. So of two ways to the same answered
// operations and the same state, the one that used fewer unknown operations can do all that the other can: the search continues only if no
// such way was tried before.

/// <summary>The configurations that the search has visited.</summary>
internal sealed class Configurations<TState>
    where TState : IEquatable<TState>
{
    private readonly Dictionary<(OperationSet.Frozen Answered, TState State), List<OperationSet.Frozen>> _seen = [];

    /// <summary>Adds a configuration.</summary>
    /// <param name="answered">The linearized operations with an answer.</param>
    /// <param name="unknown">The operations with an unknown outcome that are assumed to have run.</param>
    /// <param name="state">The state.</param>
    /// <returns>False if the search has visited it, or a configuration that can do all that this one can.</returns>
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
