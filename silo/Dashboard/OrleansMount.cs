using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Orleans.Dashboard;

namespace IommuFd.Silo.Dashboard;

// Orleans' dashboard has two halves. In the silo: what counts, of which a filter that every call passes is left out unless asked for, since it costs
// also while nobody looks; what is left asks the silo's own statistics every few seconds. In the web server: pages, which ask a grain while somebody looks.

/// <summary>Orleans' own dashboard, mounted under ours.</summary>
internal static class OrleansMount
{
    public const string Path = "/orleans";

    private const int StatisticsIntervalMilliseconds = 5000;

    // It would show the state of any grain that is named; grains are named by handles, which nobody types in here.
    private const string GrainState = "/GrainState";

    public static void AddToSilo(ISiloBuilder silo, DashboardSettings settings)
    {
        if (!settings.Orleans)
        {
            return;
        }

        silo.AddDashboard(Configure);
        if (!settings.OrleansMethods && silo.Services.SingleOrDefault(IsFilter) is { } filter)
        {
            silo.Services.Remove(filter);
        }
    }

    public static void AddToServer(IServiceCollection services, IConfiguration configuration, DashboardSettings settings)
    {
        if (settings.Orleans)
        {
            new ServerBuilder(services, configuration).AddDashboard(Configure);
        }
    }

    public static void Map(IEndpointRouteBuilder endpoints, DashboardSettings settings)
    {
        if (settings.Orleans)
        {
            endpoints.MapOrleansDashboard(Path).AddEndpointFilter(async (call, next)
                => call.HttpContext.Request.Path.StartsWithSegments(Path + GrainState, StringComparison.OrdinalIgnoreCase) ? Results.NotFound() : await next(call));
        }
    }

    private static void Configure(DashboardOptions options)
    {
        // Its log would show everybody's.
        options.HideTrace = true;
        options.CounterUpdateIntervalMs = StatisticsIntervalMilliseconds;
    }

    private static bool IsFilter(ServiceDescriptor service)
        => service.ServiceType == typeof(IIncomingGrainCallFilter) && service is { IsKeyedService: false } && service.ImplementationType?.Assembly == typeof(DashboardOptions).Assembly;

    /// <summary>The web server has a container of its own; what Orleans registers there is what it registers in a client.</summary>
    private sealed record ServerBuilder(IServiceCollection Services, IConfiguration Configuration) : IClientBuilder;
}
