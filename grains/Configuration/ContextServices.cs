using IommuFd.Grains.Contexts;
using Microsoft.Extensions.DependencyInjection;

namespace IommuFd.Grains.Configuration;

/// <summary>What a silo registers so that it can have contexts.</summary>
public static class ContextServices
{
    /// <summary>Registers the services of contexts.</summary>
    /// <param name="services">The silo's services.</param>
    /// <param name="configure">Sets what the silo grants its contexts.</param>
    /// <returns>The services.</returns>
    public static IServiceCollection AddContexts(this IServiceCollection services, Action<ContextOptions>? configure = null)
    {
        services.AddSingleton<ContextCensus>();
        services.AddOptions<ContextOptions>().Configure(configure ?? (_ => { }));
        return services;
    }
}
