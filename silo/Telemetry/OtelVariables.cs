using System.ComponentModel.DataAnnotations;
using System.Globalization;
using IommuFd.GrainInterfaces;
using Microsoft.Extensions.Configuration;
using OpenTelemetry.Exporter;

namespace IommuFd.Silo.Telemetry;

// OpenTelemetry's SDK reads most variables of its specification by itself. This file reads those it leaves to programs: which signals are
// exported, and where a signal goes that has variables of its own. The specification exports to localhost by default; this silo exports
// nothing unless it is configured to.

/// <summary>A signal of OpenTelemetry.</summary>
internal enum Signal
{
    Traces = 0,
    Metrics,
    Logs,
}

/// <summary>Reads OpenTelemetry's environment variables.</summary>
internal sealed class OtelVariables(IConfiguration configuration)
{
    private const string Otlp = "otlp";
    private const string Prometheus = "prometheus";
    private const string None = "none";
    private const int DefaultPrometheusPort = 9464;

    /// <summary>Whether all telemetry is off.</summary>
    public bool IsDisabled => string.Equals(configuration["OTEL_SDK_DISABLED"], "true", StringComparison.OrdinalIgnoreCase);

    /// <summary>The share of requests without a trace that begin one; null if a sampler of the SDK decides alone.</summary>
    public double? RootRatio => configuration["OTEL_TRACES_SAMPLER"]?.ToUpperInvariant() is null or "" or "PARENTBASED_TRACEIDRATIO"
        ? RootSampling.FromEnvironment(configuration["OTEL_TRACES_SAMPLER"], configuration["OTEL_TRACES_SAMPLER_ARG"])
        : null;

    /// <summary>Whether a signal goes to a collector: because its exporter is named, or, without a name, because an endpoint is set for it.</summary>
    public bool UsesOtlp(Signal signal) => Exporters(signal) is { } exporters
        ? exporters.Contains(Otlp)
        : !string.IsNullOrEmpty(configuration["OTEL_EXPORTER_OTLP_ENDPOINT"]) || Own(signal, "ENDPOINT") is not null;

    /// <summary>Whether Prometheus scrapes the metrics.</summary>
    public bool UsesPrometheus => Exporters(Signal.Metrics)?.Contains(Prometheus) == true;

    /// <summary>Fills in the Prometheus settings from the variables where the settings leave them open.</summary>
    public void Complete(TelemetrySettings settings)
    {
        if (Exporters(Signal.Metrics)?.Contains(None) == true)
        {
            settings.PrometheusPort = 0;
        }
        else if (UsesPrometheus && settings.PrometheusPort == 0)
        {
            settings.PrometheusPort = int.TryParse(configuration["OTEL_EXPORTER_PROMETHEUS_PORT"], NumberStyles.None, CultureInfo.InvariantCulture, out var port) ? port : DefaultPrometheusPort;
            settings.PrometheusAddress = configuration["OTEL_EXPORTER_PROMETHEUS_HOST"] ?? settings.PrometheusAddress;
        }
    }

    /// <summary>Applies a signal's own variables; the exporter has already read those for all signals.</summary>
    /// <exception cref="ValidationException">A variable is invalid.</exception>
    public void Apply(Signal signal, OtlpExporterOptions options)
    {
        if (Own(signal, "PROTOCOL") is { } protocol)
        {
            options.Protocol = protocol switch
            {
                "grpc" => OtlpExportProtocol.Grpc,
                "http/protobuf" => OtlpExportProtocol.HttpProtobuf,
                _ => throw new ValidationException($"{Name(signal, "PROTOCOL")} is '{protocol}'; it must be grpc or http/protobuf."),
            };
        }

        if (Own(signal, "ENDPOINT") is { } endpoint)
        {
            options.Endpoint = Uri.TryCreate(endpoint, UriKind.Absolute, out var address) ? address : throw new ValidationException($"{Name(signal, "ENDPOINT")} is '{endpoint}'; it must be an absolute URL.");
        }

        options.Headers = Own(signal, "HEADERS") ?? options.Headers;
        if (Own(signal, "TIMEOUT") is { } timeout)
        {
            options.TimeoutMilliseconds = int.TryParse(timeout, NumberStyles.None, CultureInfo.InvariantCulture, out var milliseconds)
                ? milliseconds
                : throw new ValidationException($"{Name(signal, "TIMEOUT")} is '{timeout}'; it must be a number of milliseconds.");
        }
    }

    private static string Name(Signal signal, string what) => $"OTEL_EXPORTER_OTLP_{signal.ToString().ToUpperInvariant()}_{what}";

    private string? Own(Signal signal, string what) => configuration[Name(signal, what)] is { Length: > 0 } value ? value : null;

    private HashSet<string>? Exporters(Signal signal)
    {
        var variable = $"OTEL_{signal.ToString().ToUpperInvariant()}_EXPORTER";
        if (string.IsNullOrWhiteSpace(configuration[variable]))
        {
            return null;
        }

        var exporters = configuration[variable]!.Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries).ToHashSet(StringComparer.OrdinalIgnoreCase);
        return exporters.FirstOrDefault(name => name is not (Otlp or None) && !(name == Prometheus && signal == Signal.Metrics)) is { } unknown
            ? throw new ValidationException($"{variable} has '{unknown}'; this silo supports {Otlp}, {(signal == Signal.Metrics ? $"{Prometheus}, " : "")}{None}.")
            : exporters;
    }
}
