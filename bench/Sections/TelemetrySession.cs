using System.Diagnostics;
using IommuFd.GrainInterfaces;
using IommuFd.Silo.Telemetry;
using OpenTelemetry;
using OpenTelemetry.Metrics;
using OpenTelemetry.Trace;

namespace IommuFd.Bench.Sections;

/// <summary>Telemetry that is on until disposed, and exports to nowhere.</summary>
internal sealed class TelemetrySession : IDisposable
{
    private readonly TracerProvider? _traces;
    private readonly MeterProvider? _metrics;

    private TelemetrySession(TracerProvider? traces, MeterProvider? metrics) => (_traces, _metrics) = (traces, metrics);

    /// <summary>Subscribes as the silo does by default.</summary>
    public static TelemetrySession Start(bool traces = true, bool metrics = true, bool orleans = false) => new(
        traces
            ? OpenTelemetry.Sdk.CreateTracerProviderBuilder().AddSiloSources(IommufdTelemetry.RootRatio).AddProcessor(new BatchActivityExportProcessor(new Nowhere<Activity>())).Build()
            : null,
        metrics
            ? OpenTelemetry.Sdk.CreateMeterProviderBuilder().AddSiloMeters(orleans).AddReader(new PeriodicExportingMetricReader(new Nowhere<Metric>(), exportIntervalMilliseconds: 1000)).Build()
            : null);

    public void Dispose()
    {
        _traces?.Dispose();
        _metrics?.Dispose();
    }

    private sealed class Nowhere<T> : BaseExporter<T>
        where T : class
    {
        public override ExportResult Export(in Batch<T> batch)
        {
            foreach (var _ in batch)
            {
            }

            return ExportResult.Success;
        }
    }
}
