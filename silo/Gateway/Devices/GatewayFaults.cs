using IommuFd.GrainInterfaces;

namespace IommuFd.Silo.Gateway.Devices;

// The service tells the faults of all contexts, and a client of the gateway is to see its own. So the gateway remembers who has opened which context, also after it was
// closed, and forgets the oldest first.

/// <summary>The accesses of devices that could not be translated, as an identity may see them. Thread-safe.</summary>
internal sealed class GatewayFaults(IGrainFactory grains)
{
    private const int MaxOwned = 1 << 14;

    private readonly Lock _lock = new();
    private readonly HashSet<(string Identity, ContextTag Context)> _owned = [];
    private readonly Queue<(string Identity, ContextTag Context)> _inOrder = [];

    /// <summary>An identity has opened a context, or has shown that it has one.</summary>
    public void NoteOwner(string identity, ContextTag context)
    {
        lock (_lock)
        {
            if (!_owned.Add((identity, context)))
            {
                return;
            }

            _inOrder.Enqueue((identity, context));
            if (_inOrder.Count > MaxOwned)
            {
                _owned.Remove(_inOrder.Dequeue());
            }
        }
    }

    /// <summary>The faults of the contexts that an identity has opened here.</summary>
    public async Task<FaultPage> OwnAsync(string identity, FaultQuery query)
    {
        // What others' devices did must not push out one's own.
        var page = await OfAsync(query with { Limit = FaultQuery.MaxLimit });
        lock (_lock)
        {
            return page with { Faults = [.. page.Faults.Where(fault => _owned.Contains((identity, fault.Context))).TakeLast(Math.Clamp(query.Limit, 1, FaultQuery.MaxLimit))] };
        }
    }

    /// <summary>The faults that a query asks for.</summary>
    public Task<FaultPage> OfAsync(FaultQuery query) => grains.GetGrain<IMonitorGrain>(0).ListFaultsAsync(query);
}
