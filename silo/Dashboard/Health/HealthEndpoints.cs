using IommuFd.Grains.Journaling;
using IommuFd.Grains.Monitoring.Health;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Diagnostics.HealthChecks;
using Microsoft.Extensions.Hosting;

namespace IommuFd.Silo.Dashboard.Health;

/// <summary>Answers what orchestrators ask of the silo's health, without a token: 200 and <c>healthy</c>, or 503 and why not, a line for each check.</summary>
internal static class HealthEndpoints
{
    private static readonly string[] Methods = [HttpMethods.Get, HttpMethods.Head];

    /// <summary>Adds the checks to the web server.</summary>
    /// <param name="services">The web server's services.</param>
    /// <param name="silo">The silo's services.</param>
    public static void AddTo(IServiceCollection services, IServiceProvider silo)
    {
        var lifetime = silo.GetRequiredService<IHostApplicationLifetime>();
        services.AddSingleton<RecentReports>();
        services.AddHealthChecks()
            .AddCheck("silo", new StartupCheck(lifetime), tags: [Probe.Startup])
            .AddCheck("member", new MemberCheck(lifetime, silo.GetRequiredService<IClusterMembershipService>(), silo.GetRequiredService<ILocalSiloDetails>()), tags: [Probe.Ready])
            .AddCheck("journal", new JournalCheck(lifetime, silo.GetService<IJournalStore>()), tags: [Probe.Ready])
            .AddCheck("turns", new TurnCheck(lifetime, silo.GetRequiredService<SiloPulse>()), tags: [Probe.Live]);
    }

    /// <summary>Maps a path for each question.</summary>
    public static void Map(IEndpointRouteBuilder endpoints)
    {
        foreach (var probe in (string[])[Probe.Startup, Probe.Ready, Probe.Live])
        {
            endpoints.MapMethods(Probe.PathOf(probe), Methods, context => AnswerAsync(context, probe)).AllowAnonymous();
        }
    }

    /// <summary>What the checks that have failed say.</summary>
    public static IEnumerable<string> ProblemsOf(HealthReport report)
        => report.Entries.Where(entry => entry.Value.Status != HealthStatus.Healthy).Select(entry => $"{entry.Key}: {entry.Value.Description ?? "the check fails"}");

    private static async Task AnswerAsync(HttpContext context, string probe)
    {
        var report = await context.RequestServices.GetRequiredService<RecentReports>().GetAsync(probe);
        var isHealthy = report.Status == HealthStatus.Healthy;
        context.Response.StatusCode = isHealthy ? StatusCodes.Status200OK : StatusCodes.Status503ServiceUnavailable;
        context.Response.ContentType = "text/plain; charset=utf-8";
        await context.Response.WriteAsync(string.Join('\n', [isHealthy ? "healthy" : "unhealthy", .. ProblemsOf(report)]), context.RequestAborted);
    }
}
