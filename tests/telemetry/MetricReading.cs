using IommuFd.GrainInterfaces;
using IommuFd.Silo.Telemetry;
using IommuFd.TestSupport;
using OpenTelemetry;
using OpenTelemetry.Metrics;

namespace IommuFd.TelemetryTests;

/// <summary>One point of a metric, as it was exported.</summary>
/// <param name="Tags">Its attributes.</param>
/// <param name="Value">The sum or the last value; of a histogram, how many measurements it has.</param>
/// <param name="Sum">Of a histogram, their sum.</param>
internal sealed record Point(IReadOnlyDictionary<string, string> Tags, double Value, double Sum);

/// <summary>One metric, as it was exported.</summary>
internal sealed record Exported(string Name, string Unit, string Description, MetricType Type, AggregationTemporality Temporality, IReadOnlyList<Point> Points)
{
    /// <summary>The value of the point that has exactly these tags; 0 where there is none.</summary>
    public double this[params (string Key, string Value)[] tags]
        => Points.SingleOrDefault(point => point.Tags.Count == tags.Length && tags.All(tag => point.Tags.TryGetValue(tag.Key, out var value) && value == tag.Value))?.Value ?? 0;
}

/// <summary>Subscribes to what a silo measures, and exports it to the test.</summary>
internal sealed class MetricReading : IDisposable
{
    private readonly List<Exported> _exported = [];
    private readonly MeterProvider _provider;

    public MetricReading(MetricReaderTemporalityPreference temporality)
        => _provider = OpenTelemetry.Sdk.CreateMeterProviderBuilder()
            .AddSiloMeters(orleans: false)
            .AddReader(new BaseExportingMetricReader(new Exporter(_exported)) { TemporalityPreference = temporality })
            .Build();

    /// <summary>Exports once.</summary>
    /// <returns>The metrics of our meter, by name.</returns>
    public Dictionary<string, Exported> Collect()
    {
        _exported.Clear();
        Assert.True(_provider.ForceFlush());
        return _exported.ToDictionary(metric => metric.Name);
    }

    public void Dispose() => _provider.Dispose();

    // Metrics are the SDK's to reuse, hence the copies.
    private sealed class Exporter(List<Exported> exported) : BaseExporter<Metric>
    {
        public override ExportResult Export(in Batch<Metric> batch)
        {
            foreach (var metric in batch)
            {
                if (metric.MeterName == IommufdTelemetry.MeterName)
                {
                    var points = new List<Point>();
                    foreach (ref readonly var point in metric.GetMetricPoints())
                    {
                        points.Add(Read(metric.MetricType, in point));
                    }

                    exported.Add(new Exported(metric.Name, metric.Unit, metric.Description, metric.MetricType, metric.Temporality, points));
                }
            }

            return ExportResult.Success;
        }

        private static Point Read(MetricType type, in MetricPoint point)
        {
            var tags = new Dictionary<string, string>();
            foreach (var tag in point.Tags)
            {
                tags.Add(tag.Key, $"{tag.Value}");
                HandleWatch.Shared.Read($"{tag.Value}");
            }

            return type switch
            {
                MetricType.Histogram => new Point(tags, point.GetHistogramCount(), point.GetHistogramSum()),
                MetricType.LongSum => new Point(tags, point.GetSumLong(), 0),
                MetricType.LongGauge => new Point(tags, point.GetGaugeLastValueLong(), 0),
                _ => throw new InvalidOperationException($"A metric of type {type} was not expected."),
            };
        }
    }
}
