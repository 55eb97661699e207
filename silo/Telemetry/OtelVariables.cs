using System.ComponentModel.DataAnnotations;
using System.Globalization;
using IommuFd.GrainInterfaces;
using Microsoft.Extensions.Configuration;
using OpenTelemetry.Exporter;

namespace IommuFd.Silo.Telemetry;

// OpenTelemetry's SDK reads most of the variables of its specification by itself. What it leaves to programs is here: which signals are exported, and where each of them goes
// when it has a variable of its own. The specification's default is to export to localhost; here nothing is exported unless somebody says so.

/// <summary>A signal of OpenTelemetry's.</summary>
internal enum Signal
{
    Traces = 0,
    Metrics,
    Logs,
}

/// <summary>What the environment says about telemetry.</summary>
internal sealed class OtelVariables(IConfiguration configuration)
{
    private const string Otlp = "otlp";
    private const string Prometheus = "prometheus";
    private const string None = "none";
    private const int DefaultPrometheusPort = 9464;

    /// <summary>Whether there is to be no telemetry at all.</summary>
    public bool IsDisabled => string.Equals(configuration["OTEL_SDK_DISABLED"], "true", StringComparison.OrdinalIgnoreCase);

    /// <summary>The share of requests that belong to no trace which begin one; null where a sampler of the SDK's decides all by itself.</summary>
    public double? RootRatio => configuration["OTEL_TRACES_SAMPLER"]?.ToUpperInvariant() is null or "" or "PARENTBASED_TRACEIDRATIO"
        ? RootSampling.FromEnvironment(configuration["OTEL_TRACES_SAMPLER"], configuration["OTEL_TRACES_SAMPLER_ARG"])
        : null;

    /// <summary>Whether a signal goes to a collector: where its exporter is named, or, without a name, where there is an address for it.</summary>
    public bool UsesOtlp(Signal signal) => Exporters(signal) is { } exporters
        ? exporters.Contains(Otlp)
        : !string.IsNullOrEmpty(configuration["OTEL_EXPORTER_OTLP_ENDPOINT"]) || Own(signal, "ENDPOINT") is not null;

    /// <summary>Whether the metrics are for Prometheus to fetch.</summary>
    public bool UsesPrometheus => Exporters(Signal.Metrics)?.Contains(Prometheus) == true;

    /// <summary>Gives the settings of Prometheus' port what the variables say and the settings do not.</summary>
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

    /// <summary>Sends a signal to where its own variables say; what they don't say is as for all signals, which the exporter has read by itself.</summary>
    /// <exception cref="ValidationException">A variable makes no sense.</exception>
    public void Apply(Signal signal, OtlpExporterOptions options)
    {
        if (Own(signal, "PROTOCOL") is { } protocol)
        {
            options.Protocol = protocol switch
            {
                "grpc" => OtlpExportProtocol.Grpc,
                "http/protobuf" => OtlpExportProtocol.HttpProtobuf,
                _ => throw new ValidationException($"{Name(signal, "PROTOCOL")} is '{protocol}'; it can be grpc or http/protobuf."),
            };
        }

        if (Own(signal, "ENDPOINT") is { } endpoint)
        {
            options.Endpoint = Uri.TryCreate(endpoint, UriKind.Absolute, out var address) ? address : throw new ValidationException($"{Name(signal, "ENDPOINT")} is '{endpoint}', which is no address.");
        }

        options.Headers = Own(signal, "HEADERS") ?? options.Headers;
        if (Own(signal, "TIMEOUT") is { } timeout)
        {
            options.TimeoutMilliseconds = int.TryParse(timeout, NumberStyles.None, CultureInfo.InvariantCulture, out var milliseconds)
                ? milliseconds
                : throw new ValidationException($"{Name(signal, "TIMEOUT")} is '{timeout}'; it is a number of milliseconds.");
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
            ? throw new ValidationException($"{variable} has '{unknown}'; this silo knows {Otlp}, {(signal == Signal.Metrics ? $"{Prometheus}, " : "")}{None}.")
            : exporters;
    }
}
