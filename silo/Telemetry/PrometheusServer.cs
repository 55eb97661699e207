using System.ComponentModel.DataAnnotations;
using System.Net;
using System.Security.Cryptography;
using System.Text;
using IommuFd.Silo.Security;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using OpenTelemetry.Metrics;

namespace IommuFd.Silo.Telemetry;

// The metrics have a port of their own, with no other page, so that Prometheus can scrape them when the dashboard is off and needs no access to
// it. A host that already has a web server can serve them there by MapSiloMetrics, under its own access rules.

/// <summary>The token that a request must send; null for none.</summary>
internal sealed record PrometheusToken(string? Value);

/// <summary>Serves the metrics to Prometheus.</summary>
internal sealed class PrometheusServer(TelemetrySettings settings, PrometheusToken token, MeterProvider metrics, ILogger<PrometheusServer> logger) : IHostedService, IAsyncDisposable
{
    private WebApplication? _application;

    public async Task StartAsync(CancellationToken cancellationToken)
    {
        var endpoint = new IPEndPoint(settings.ParseAddress()!, settings.PrometheusPort);
        var builder = WebApplication.CreateEmptyBuilder(new WebApplicationOptions());
        builder.WebHost.UseKestrelCore().ConfigureKestrel(server =>
        {
            server.AddServerHeader = false;
            server.Listen(endpoint);
        });
        builder.Services.AddRoutingCore();
        _application = builder.Build();
        _application.MapSiloMetrics(metrics).Add(AddTokenCheck);
        try
        {
            await _application.StartAsync(cancellationToken);
        }
        catch (IOException exception)
        {
            throw new ValidationException($"{TelemetrySettings.Section}:{nameof(TelemetrySettings.PrometheusPort)}: can't listen on {endpoint}; choose another port: {exception.Message}", exception);
        }

        logger.MetricsServed(endpoint);
    }

    public async Task StopAsync(CancellationToken cancellationToken)
    {
        if (_application is not null)
        {
            await _application.StopAsync(cancellationToken);
        }
    }

    public async ValueTask DisposeAsync()
    {
        if (_application is not null)
        {
            await _application.DisposeAsync();
        }
    }

    private void AddTokenCheck(EndpointBuilder endpoint)
    {
        if (token.Value is not { } value || endpoint.RequestDelegate is not { } next)
        {
            return;
        }

        var guard = new TokenGuard((from, reason, others) => logger.MetricsRefused(from, reason, others), TimeProvider.System);
        var expected = SHA256.HashData(Encoding.UTF8.GetBytes($"Bearer {value}"));
        endpoint.RequestDelegate = context =>
        {
            // Compares hashes, so that the time taken reveals neither the token's length nor its content.
            var sent = context.Request.Headers.Authorization.ToString();
            var wait = TimeSpan.Zero;
            if (sent.Length > 0 && guard.Find(context.Connection.RemoteIpAddress, () => CryptographicOperations.FixedTimeEquals(SHA256.HashData(Encoding.UTF8.GetBytes(sent)), expected) ? sent : null, out wait) is not null)
            {
                return next(context);
            }

            context.Response.StatusCode = wait > TimeSpan.Zero ? StatusCodes.Status429TooManyRequests : StatusCodes.Status401Unauthorized;
            context.Response.Headers.WWWAuthenticate = "Bearer";
            return Task.CompletedTask;
        };
    }
}

/// <summary>Serves a silo's metrics on any host.</summary>
internal static class PrometheusEndpoint
{
    /// <summary>The path of the metrics.</summary>
    public const string Path = "/metrics";

    /// <summary>Maps the metrics to <see cref="Path"/>. The caller sets the access rules on the result.</summary>
    /// <param name="endpoints">The host's endpoints.</param>
    /// <param name="metrics">The silo's provider, set up with <c>AddPrometheusExporter</c>.</param>
    public static IEndpointConventionBuilder MapSiloMetrics(this IEndpointRouteBuilder endpoints, MeterProvider metrics)
        => endpoints.MapPrometheusScrapingEndpoint(Path, metrics, configureBranchedPipeline: null, optionsName: null);
}
