using IommuFd.GrainInterfaces;

namespace IommuFd.Client;

/// <summary>Where a client finds its contexts. Everything that the SDK sends goes to a context that a channel has found.</summary>
internal interface IContextChannel
{
    /// <summary>Where requests go, as the spans of traced calls say it: <c>server.address</c>.</summary>
    string ServerAddress { get; }

    /// <summary>Finds the context of a handle. Sends nothing: whether it is open, its answers say.</summary>
    IContextGrain Find(ContextHandle handle);
}
