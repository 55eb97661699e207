using IommuFd.Client;
using IommuFd.GrainInterfaces;

namespace IommuFd.UnitTests.Support;

/// <summary>Finds the contexts that a test has made.</summary>
internal sealed class FakeChannel(Func<ContextHandle, IContextGrain> contexts) : IContextChannel
{
    public RouteChanges? Routes { get; init; }

    public string ServerAddress => "test";

    public Task<FaultPage> ListFaultsAsync(ContextHandle? handle, FaultQuery query) => throw new NotSupportedException();

    public ContextCalls Find(ContextHandle handle) => new GrainCalls(contexts(handle), handle);
}
