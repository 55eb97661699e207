using IommuFd.GrainInterfaces;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Options;
using Orleans.Configuration;

namespace IommuFd.Client;

/// <summary>Reaches contexts by grain calls, to the silo in this process or to the cluster of an Orleans client.</summary>
internal sealed class GrainChannel(IGrainFactory grains) : IContextChannel
{
    /// <summary>The cluster's id.</summary>
    public string ServerAddress { get; } = (grains as IClusterClient)?.ServiceProvider.GetService<IOptions<ClusterOptions>>()?.Value.ClusterId ?? "in-process";

    public RouteChanges? Routes { get; } = (grains as IClusterClient)?.ServiceProvider.GetService<RouteChanges>();

    public GrainId? Observe(IMemoryObserver observer) => grains.CreateObjectReference<IMemoryObserver>(observer).GetGrainId();

    public Task<FaultPage> ListFaultsAsync(ContextHandle? handle, FaultQuery query)
        => grains.GetGrain<IMonitorGrain>(0).ListFaultsAsync(handle is { } named ? query with { Context = named.Key.Tag } : query);

    public ContextCalls Find(ContextHandle handle) => new GrainCalls(grains.GetGrain<IContextGrain>(handle.Key.Value), handle);
}
