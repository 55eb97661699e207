using IommuFd.Grains.Monitoring;
using Microsoft.Extensions.DependencyInjection;

namespace IommuFd.Grains.Configuration;

/// <summary>What a silo registers so that people can see what it does.</summary>
public static class MonitoringServices
{
    /// <summary>Lets other silos ask this one what it does, and this one the others. Comes with <see cref="ContextServices.AddContexts"/>.</summary>
    /// <param name="silo">The silo.</param>
    /// <returns>The silo.</returns>
    public static ISiloBuilder AddContextMonitoring(this ISiloBuilder silo)
    {
        silo.AddGrainService<SiloMonitor>();
        silo.Services.AddSingleton<SiloMonitors>();
        silo.Services.AddSingleton<IContextFinder, ContextFinder>();
        return silo;
    }
}
