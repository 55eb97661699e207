using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Orleans.Dashboard;

namespace IommuFd.Silo.Dashboard;

// Orleans' dashboard has two halves. The silo's half counts. Its filter, which every call passes, is removed unless asked for, since it costs
// even without a viewer; the rest reads the silo's own statistics every few seconds. The web server's half has the pages, which call a grain
// while they are open.

/// <summary>Orleans' own dashboard, mounted under ours.</summary>
internal static class OrleansMount
{
    public const string Path = "/orleans";

    private const int StatisticsIntervalMilliseconds = 5000;

    // Shows the state of any grain by its key. The state of a context has its handle, and what it maps.
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
        // Its trace page would show the log of all contexts.
        options.HideTrace = true;
        options.CounterUpdateIntervalMs = StatisticsIntervalMilliseconds;
    }

    private static bool IsFilter(ServiceDescriptor service)
        => service.ServiceType == typeof(IIncomingGrainCallFilter) && service is { IsKeyedService: false } && service.ImplementationType?.Assembly == typeof(DashboardOptions).Assembly;

    /// <summary>The web server has its own container, where Orleans registers what it would register in a client.</summary>
    private sealed record ServerBuilder(IServiceCollection Services, IConfiguration Configuration) : IClientBuilder;
}
