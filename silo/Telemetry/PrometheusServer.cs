using System.ComponentModel.DataAnnotations;
using System.Net;
using System.Security.Cryptography;
using System.Text;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using OpenTelemetry.Metrics;

namespace IommuFd.Silo.Telemetry;

// The metrics have a port of their own, so that they can be fetched where the dashboard is off, and by somebody who has no business with it. It has no other page. A host that
// serves something anyway can serve them too, by MapSiloMetrics, under its own rules of access.

/// <summary>The token that is to be sent; null for none.</summary>
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
            throw new ValidationException($"{TelemetrySettings.Section}:{nameof(TelemetrySettings.PrometheusPort)}: {endpoint} can't be listened on, name another port: {exception.Message}", exception);
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

        var expected = SHA256.HashData(Encoding.UTF8.GetBytes($"Bearer {value}"));
        endpoint.RequestDelegate = context =>
        {
            // Of hashes, so that neither length nor content of the token shows in the time it takes.
            var sent = SHA256.HashData(Encoding.UTF8.GetBytes(context.Request.Headers.Authorization.ToString()));
            if (CryptographicOperations.FixedTimeEquals(sent, expected))
            {
                return next(context);
            }

            context.Response.StatusCode = StatusCodes.Status401Unauthorized;
            context.Response.Headers.WWWAuthenticate = "Bearer";
            return Task.CompletedTask;
        };
    }
}

/// <summary>Serves a silo's metrics on any host.</summary>
internal static class PrometheusEndpoint
{
    /// <summary>Where the metrics are.</summary>
    public const string Path = "/metrics";

    /// <summary>Maps the metrics to <see cref="Path"/>. Who may see them is the caller's to say, on what this returns.</summary>
    /// <param name="endpoints">Where.</param>
    /// <param name="metrics">The silo's provider, to which <c>AddPrometheusExporter</c> was added.</param>
    public static IEndpointConventionBuilder MapSiloMetrics(this IEndpointRouteBuilder endpoints, MeterProvider metrics)
        => endpoints.MapPrometheusScrapingEndpoint(Path, metrics, configureBranchedPipeline: null, optionsName: null);
}
