using System.Reflection;
using IommuFd.GrainInterfaces;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using OpenTelemetry.Logs;
using OpenTelemetry.Metrics;
using OpenTelemetry.Resources;
using OpenTelemetry.Trace;

namespace IommuFd.Silo.Telemetry;

// No listener is added unless a signal is exported, and signals without a listener cost next to nothing. Orleans' own call spans are left out:
// their filter around every call of every grain costs more than an ioctl. This project's spans carry the same context under the same names, so
// a client with Orleans' propagation still joins them.

/// <summary>Adds telemetry to a silo.</summary>
internal static class TelemetryExtensions
{
    /// <summary>Exports traces, metrics and logs as OpenTelemetry's variables and the settings ask.</summary>
    /// <exception cref="System.ComponentModel.DataAnnotations.ValidationException">A variable or setting is invalid.</exception>
    public static void AddTelemetry(this HostApplicationBuilder builder, SiloSettings silo, TelemetrySettings settings)
    {
        var variables = new OtelVariables(builder.Configuration);
        if (variables.IsDisabled)
        {
            return;
        }

        variables.Complete(settings);
        SettingsValidation.Validate(settings, TelemetrySettings.Section);
        var (traces, metrics, logs) = (variables.UsesOtlp(Signal.Traces), variables.UsesOtlp(Signal.Metrics), variables.UsesOtlp(Signal.Logs));
        var hasPrometheus = settings.PrometheusPort != 0;
        if (!traces && !metrics && !logs && !hasPrometheus)
        {
            return;
        }

        var telemetry = builder.Services.AddOpenTelemetry().ConfigureResource(resource => resource
            .AddService("iommufd-silo", serviceVersion: Assembly.GetExecutingAssembly().GetName().Version?.ToString(), serviceInstanceId: $"{silo.Address}:{silo.SiloPort}")
            .AddEnvironmentVariableDetector());
        if (traces)
        {
            telemetry.WithTracing(tracing => tracing.AddSiloSources(variables.RootRatio).AddOtlpExporter(options => variables.Apply(Signal.Traces, options)));
        }

        if (metrics || hasPrometheus)
        {
            telemetry.WithMetrics(metering =>
            {
                metering.AddSiloMeters(settings.OrleansMetrics);
                if (metrics)
                {
                    metering.AddOtlpExporter((options, _) => variables.Apply(Signal.Metrics, options));
                }

                if (hasPrometheus)
                {
                    metering.AddPrometheusExporter();
                }
            });
        }

        if (logs)
        {
            telemetry.WithLogging(logging => logging.AddOtlpExporter(options => variables.Apply(Signal.Logs, options)), options => options.IncludeFormattedMessage = true);
        }

        if (hasPrometheus)
        {
            var token = settings.ReadToken();
            builder.Services.AddHostedService(services => ActivatorUtilities.CreateInstance<PrometheusServer>(services, settings, new PrometheusToken(token)));
        }
    }

    /// <summary>What a silo measures: ioctls, contexts and journals, Orleans' grains, and .NET's runtime.</summary>
    /// <param name="metrics">The builder.</param>
    /// <param name="orleans">Whether to include Orleans' meter.</param>
    public static MeterProviderBuilder AddSiloMeters(this MeterProviderBuilder metrics, bool orleans)
        => metrics.AddMeter(orleans ? [IommufdTelemetry.MeterName, "Microsoft.Orleans"] : [IommufdTelemetry.MeterName]).AddRuntimeInstrumentation();

    /// <summary>What a silo traces: ioctls, and activations' lifecycles.</summary>
    /// <param name="traces">The builder.</param>
    /// <param name="rootRatio">The share of roots to keep; null to leave that to the sampler that OpenTelemetry's variables name.</param>
    public static TracerProviderBuilder AddSiloSources(this TracerProviderBuilder traces, double? rootRatio)
    {
        traces.AddSource(IommufdTelemetry.SourceName, "Microsoft.Orleans.Lifecycle");
        return rootRatio is { } ratio ? traces.SetSampler(new ParentBasedSampler(new RootSampler(ratio))) : traces;
    }
}
