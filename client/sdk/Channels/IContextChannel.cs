using IommuFd.GrainInterfaces;

namespace IommuFd.Client;

/// <summary>How a client reaches contexts. The SDK sends every request to a context that its channel has found.</summary>
internal interface IContextChannel
{
    /// <summary>Where requests go: <c>server.address</c> in the spans of traced calls.</summary>
    string ServerAddress { get; }

    /// <summary>Says when requests may go by other ways than before; null where nothing says so.</summary>
    RouteChanges? Routes => null;

    /// <summary>Finds the context of a handle. Sends nothing, and so does not check whether the context is open.</summary>
    ContextCalls Find(ContextHandle handle);

    /// <summary>The last accesses of devices that could not be translated.</summary>
    /// <param name="handle">The context whose they are; null for the one that the query names, or all that the caller may see.</param>
    /// <param name="query">Which.</param>
    Task<FaultPage> ListFaultsAsync(ContextHandle? handle, FaultQuery query);

    /// <summary>Makes an observer that contexts can call. The channel does not keep it alive.</summary>
    /// <returns>Its address; null where contexts can't call this process.</returns>
    GrainId? Observe(IMemoryObserver observer) => null;
}
