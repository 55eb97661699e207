using IommuFd.Grains.Monitoring;
using IommuFd.Grains.Monitoring.Health;
using Microsoft.Extensions.DependencyInjection;

namespace IommuFd.Grains.Configuration;

/// <summary>The services that a silo needs to be monitored.</summary>
public static class MonitoringServices
{
    /// <summary>
    /// Lets this silo and the others ask each other for their monitoring data. Requires <see cref="ContextServices.AddContexts"/>.
    /// </summary>
    /// <param name="silo">The silo.</param>
    /// <returns>The silo.</returns>
    public static ISiloBuilder AddContextMonitoring(this ISiloBuilder silo)
    {
        silo.AddGrainService<SiloMonitor>();
        silo.Services.AddSingleton<SiloMonitors>();
        silo.Services.AddSingleton<IContextFinder, ContextFinder>();
        silo.Services.AddSingleton<SiloPulse>();
        return silo;
    }
}
