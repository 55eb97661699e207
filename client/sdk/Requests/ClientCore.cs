using IommuFd.GrainInterfaces;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Options;
using Orleans.Configuration;

namespace IommuFd.Client;

/// <summary>What all files and drivers of one <see cref="IommufdClient"/> share.</summary>
internal sealed class ClientCore
{
    private readonly IGrainFactory _grains;

    public ClientCore(IGrainFactory grains, IommufdClientOptions options)
    {
        _grains = grains;
        Options = options;
        Transport = new Transport(options);
        Watch = new RequestWatch(options);
        Leases = new LeaseKeeper(options);
        ClusterId = (grains as IClusterClient)?.ServiceProvider.GetService<IOptions<ClusterOptions>>()?.Value.ClusterId ?? "in-process";
    }

    /// <summary>The cluster that requests go to, for those who trace them.</summary>
    public string ClusterId { get; }

    public IommufdClientOptions Options { get; }

    /// <summary>Sends until there is an answer.</summary>
    public Transport Transport { get; }

    /// <summary>Finds requests that get no answer.</summary>
    public RequestWatch Watch { get; }

    /// <summary>Renews leases.</summary>
    public LeaseKeeper Leases { get; }

    /// <summary>The right to put a reference back, which is used once. From then on its lease is not renewed.</summary>
    public ReleaseOnce<ReleaseReport?> Owner(string operation, LeasedReference reference) => new(cancellationToken =>
    {
        Leases.Remove(reference);
        return Transport.PutAsync(operation, reference.Grain, reference.Id, cancellationToken);
    });

    public IContextGrain Grain(ContextHandle handle) => _grains.GetGrain<IContextGrain>(handle.Value);
}
