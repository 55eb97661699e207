using System.ComponentModel.DataAnnotations;
using IommuFd.GrainInterfaces;
using IommuFd.Silo.Telemetry;
using Microsoft.Extensions.Configuration;
using OpenTelemetry.Exporter;

namespace IommuFd.TelemetryTests;

/// <summary>OpenTelemetry's variables hold as its specification says, except that without any of them nothing is exported.</summary>
public sealed class OtelVariablesTests
{
    [Theory]
    [InlineData("", false, false, false)]
    [InlineData("OTEL_EXPORTER_OTLP_ENDPOINT=http://collector:4317", true, true, true)]
    [InlineData("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=http://collector:4317", true, false, false)]
    [InlineData("OTEL_EXPORTER_OTLP_ENDPOINT=http://collector:4317 OTEL_LOGS_EXPORTER=none", true, true, false)]
    [InlineData("OTEL_EXPORTER_OTLP_ENDPOINT=http://collector:4317 OTEL_METRICS_EXPORTER=prometheus", true, false, true)]
    [InlineData("OTEL_TRACES_EXPORTER=otlp", true, false, false)]
    [InlineData("OTEL_METRICS_EXPORTER=otlp,prometheus", false, true, false)]
    public void Signals_are_exported_that_somebody_asks_for(string variables, bool traces, bool metrics, bool logs)
    {
        var read = Read(variables);

        Assert.Equal((traces, metrics, logs), (read.UsesOtlp(Signal.Traces), read.UsesOtlp(Signal.Metrics), read.UsesOtlp(Signal.Logs)));
    }

    [Fact]
    public void An_exporter_that_is_not_there_is_named()
    {
        var failure = Assert.Throws<ValidationException>(() => Read("OTEL_TRACES_EXPORTER=zipkin").UsesOtlp(Signal.Traces));

        Assert.Contains("OTEL_TRACES_EXPORTER has 'zipkin'", failure.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("", 0)]
    [InlineData("OTEL_METRICS_EXPORTER=prometheus", 9464)]
    [InlineData("OTEL_METRICS_EXPORTER=prometheus OTEL_EXPORTER_PROMETHEUS_PORT=9500", 9500)]
    public void Prometheus_has_its_standard_port(string variables, int port)
    {
        var settings = new TelemetrySettings();
        Read(variables).Complete(settings);

        Assert.Equal((port, "127.0.0.1"), (settings.PrometheusPort, settings.PrometheusAddress));
    }

    [Fact]
    public void None_closes_the_port()
    {
        var settings = new TelemetrySettings { PrometheusPort = 9464 };
        Read("OTEL_METRICS_EXPORTER=none").Complete(settings);

        Assert.Equal(0, settings.PrometheusPort);
    }

    [Fact]
    public void A_signal_has_an_endpoint_of_its_own()
    {
        var options = new OtlpExporterOptions();
        Read("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT=http://logs:4318/v1/logs OTEL_EXPORTER_OTLP_LOGS_PROTOCOL=http/protobuf OTEL_EXPORTER_OTLP_LOGS_TIMEOUT=2000").Apply(Signal.Logs, options);

        Assert.Equal((new Uri("http://logs:4318/v1/logs"), OtlpExportProtocol.HttpProtobuf, 2000), (options.Endpoint, options.Protocol, options.TimeoutMilliseconds));
    }

    [Theory]
    [InlineData(null, null, 0.00025)]
    [InlineData("always_on", null, 1.0)]
    [InlineData("parentbased_always_off", null, 0.0)]
    [InlineData("parentbased_traceidratio", "0.25", 0.25)]
    [InlineData("parentbased_traceidratio", null, 1.0)]
    [InlineData("traceidratio", "0.25", 1.0)]
    public void Roots_are_chosen_as_the_sampler_says(string? sampler, string? argument, double ratio)
        => Assert.Equal(ratio, RootSampling.FromEnvironment(sampler, argument));

    [Theory]
    [InlineData(1.0)]
    [InlineData(0.1)]
    [InlineData(0.001)]
    [InlineData(0.0)]
    public void A_countdown_takes_its_share(double ratio)
    {
        const int Tries = 2_000_000;
        var (left, taken) = (0, 0);
        for (var i = 0; i < Tries; i++)
        {
            taken += SampleEvery.Take(ref left, ratio) ? 1 : 0;
        }

        // Six standard deviations.
        var tolerance = 6 * Math.Sqrt(Tries * ratio * (1 - ratio));
        Assert.InRange(taken, (Tries * ratio) - tolerance, (Tries * ratio) + tolerance);
    }

    private static OtelVariables Read(string variables) => new(new ConfigurationBuilder()
        .AddInMemoryCollection(variables.Split(' ', StringSplitOptions.RemoveEmptyEntries).Select(variable => variable.Split('=', 2)).ToDictionary(pair => pair[0], pair => (string?)pair[1]))
        .Build());
}
