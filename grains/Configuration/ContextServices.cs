using IommuFd.Grains.Calls;
using IommuFd.Grains.Contexts;
using IommuFd.Grains.Journaling;
using IommuFd.Grains.Monitoring;
using IommuFd.Grains.Proofs;
using IommuFd.Grains.Telemetry;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;

namespace IommuFd.Grains.Configuration;

/// <summary>The services that a silo needs to have contexts.</summary>
public static class ContextServices
{
    /// <summary>Registers the services of contexts.</summary>
    /// <param name="services">The silo's services.</param>
    /// <param name="options">Modes, leases and limits of the silo's contexts.</param>
    /// <returns>The services.</returns>
    public static IServiceCollection AddContexts(this IServiceCollection services, ContextOptions options)
    {
        services.AddSingleton<ContextQuota>();
        services.AddSingleton<AbandonedContexts>();
        services.AddSingleton<ContextDirectory>();
        services.AddSingleton<SiloStatistics>();
        services.AddSingleton<SiloProofPeers>();
        services.AddSingleton(silo => new SiloProofs(
            silo.GetRequiredService<ILocalSiloDetails>().SiloAddress, silo.GetRequiredService<SiloProofPeers>().IsGenuineAsync, silo.GetRequiredService<TimeProvider>(),
            silo.GetRequiredService<ILogger<SiloProofs>>()));
        services.AddSingleton(new NearObjects(options.CallsNearObjects, options.MaxKeptAreas));
        services.AddSingleton<ObjectHost>();
        services.AddGrainService<SiloProofService>();
        services.AddSingleton(silo => new ContextControls(silo.GetRequiredService<IGrainFactory>(), silo.GetRequiredService<SiloProofs>()));
        services.AddSingleton<ILifecycleParticipant<ISiloLifecycle>, SiloHandover>();
        services.AddMetrics();
        services.AddSingleton<TurnTelemetry>();
        services.AddHostedService<SiloMetrics>();
        services.AddSingleton(Options.Create(options));
        return services;
    }
}
