using IommuFd.GrainInterfaces;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Options;
using Orleans.Configuration;

namespace IommuFd.Client;

/// <summary>Finds contexts as grains: those of the silo in this process, or of the cluster that an Orleans client is connected to.</summary>
internal sealed class GrainChannel(IGrainFactory grains) : IContextChannel
{
    /// <summary>The cluster's id.</summary>
    public string ServerAddress { get; } = (grains as IClusterClient)?.ServiceProvider.GetService<IOptions<ClusterOptions>>()?.Value.ClusterId ?? "in-process";

    public IContextGrain Find(ContextHandle handle) => grains.GetGrain<IContextGrain>(handle.Value);
}
