using System.Diagnostics;
using IommuFd.GrainInterfaces;
using IommuFd.Silo.Telemetry;
using IommuFd.TestSupport;
using OpenTelemetry;
using OpenTelemetry.Trace;

namespace IommuFd.TelemetryTests;

/// <summary>Subscribes to what clients and silos of this process trace, and keeps it. Puts the share of roots back when it is disposed of.</summary>
internal sealed class SpanReading : IDisposable
{
    /// <summary>A program that uses the SDK, and traces what it does.</summary>
    public static readonly ActivitySource Program = new("Program");

    private readonly List<Activity> _exported = [];
    private readonly SemaphoreSlim _arrived = new(0);
    private readonly double _ratio = IommufdTelemetry.RootRatio;
    private readonly TracerProvider _provider;

    public SpanReading(double rootRatio = 0)
    {
        IommufdTelemetry.RootRatio = rootRatio;
        _provider = OpenTelemetry.Sdk.CreateTracerProviderBuilder()
            .AddSiloSources(rootRatio)
            .AddSource(Program.Name)
            .SetSampler(new ParentBasedSampler(new AlwaysOnSampler()))
            .AddProcessor(new SimpleActivityExportProcessor(new Exporter(_exported, _arrived)))
            .Build();
    }

    /// <summary>Our spans that have ended. A server's ends after its client has its answer, so that one waits for as many as there must be.</summary>
    public async Task<List<Activity>> WaitForAsync(int count)
    {
        using var limit = new CancellationTokenSource(Eventually.Limit);
        while (Ours().Count < count && !limit.IsCancellationRequested)
        {
            await _arrived.WaitAsync(limit.Token).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        }

        var ours = Ours();
        Assert.True(ours.Count == count, $"{count} spans were to come, and came: {string.Join(", ", ours.Select(span => $"{span.DisplayName} {span.Kind}"))}");
        return ours;
    }

    public List<Activity> Ours()
    {
        lock (_exported)
        {
            return [.. _exported.Where(span => span.Source.Name == IommufdTelemetry.SourceName)];
        }
    }

    public void Dispose()
    {
        _provider.Dispose();
        IommufdTelemetry.RootRatio = _ratio;
    }

    private sealed class Exporter(List<Activity> exported, SemaphoreSlim arrived) : BaseExporter<Activity>
    {
        public override ExportResult Export(in Batch<Activity> batch)
        {
            lock (exported)
            {
                foreach (var span in batch)
                {
                    exported.Add(span);
                    HandleWatch.Shared.Read($"{span.DisplayName} {span.StatusDescription} {string.Join(' ', span.TagObjects)} {string.Join(' ', span.Events.SelectMany(entry => entry.Tags))}");
                }
            }

            arrived.Release();
            return ExportResult.Success;
        }
    }
}
