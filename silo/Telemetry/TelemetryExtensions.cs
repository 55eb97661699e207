using System.Reflection;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using OpenTelemetry;
using OpenTelemetry.Metrics;
using OpenTelemetry.Resources;

namespace IommuFd.Silo.Telemetry;

internal static class TelemetryExtensions
{
    private const string EndpointVariable = "OTEL_EXPORTER_OTLP_ENDPOINT";

    /// <summary>
    /// Sends metrics and traces to the collector that <c>OTEL_EXPORTER_OTLP_ENDPOINT</c> names; the other variables of OpenTelemetry (<c>OTEL_SERVICE_NAME</c>,
    /// <c>OTEL_RESOURCE_ATTRIBUTES</c>, <c>OTEL_EXPORTER_OTLP_*</c>, <c>OTEL_TRACES_SAMPLER</c>, ...) hold as its specification says. Without that variable nothing is measured for it.
    /// </summary>
    public static void AddTelemetry(this HostApplicationBuilder builder, SiloSettings settings)
    {
        if (string.IsNullOrEmpty(builder.Configuration[EndpointVariable]))
        {
            return;
        }

        builder.Services.AddOpenTelemetry()
            .ConfigureResource(resource => resource
                .AddService("iommufd-silo", serviceVersion: Assembly.GetExecutingAssembly().GetName().Version?.ToString(), serviceInstanceId: $"{settings.Address}:{settings.SiloPort}")
                .AddEnvironmentVariableDetector())
            .WithMetrics(metrics => metrics.AddMeter("Microsoft.Orleans", "IommuFd").AddRuntimeInstrumentation())
            .WithTracing(traces => traces.AddSource("Microsoft.Orleans.Application", "Microsoft.Orleans.Lifecycle", "IommuFd"))
            .UseOtlpExporter();
        builder.UseOrleans(orleans => orleans.AddActivityPropagation());
    }
}
