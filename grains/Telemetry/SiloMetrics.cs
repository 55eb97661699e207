using System.Diagnostics.Metrics;
using IommuFd.GrainInterfaces;
using IommuFd.Grains.Monitoring;
using Microsoft.Extensions.Hosting;

namespace IommuFd.Grains.Telemetry;

// What a silo counts or knows anyway is read when an exporter asks, and costs nothing in between. The counts are exact and only grow, so
// both kinds of reader get them right, delta and cumulative. A silo that leaves takes its instruments with it: its contexts and objects no
// longer count, and those restored elsewhere count there.

/// <summary>The instruments that read <see cref="SiloStatistics"/>. Lives as long as its silo's host.</summary>
internal sealed class SiloMetrics : IHostedService
{
    private static readonly KeyValuePair<string, object?> Durable = new(InstrumentNames.Mode, "durable");
    private static readonly KeyValuePair<string, object?> Volatile = new(InstrumentNames.Mode, "volatile");

    private readonly SiloStatistics _statistics;

    public SiloMetrics(IMeterFactory meters, SiloStatistics statistics)
    {
        _statistics = statistics;
        var meter = meters.Create(IommufdTelemetry.MeterName);
        meter.CreateObservableCounter(InstrumentNames.Ioctls, Ioctls, "{ioctl}", "Ioctls answered, including those in batches, by command and errno.");
        meter.CreateObservableCounter(InstrumentNames.Recoveries, () => _statistics.Recoveries, "{recovery}", "Contexts recovered from their journals.");
        meter.CreateObservableCounter(InstrumentNames.LeaseExpiries, () => _statistics.LeaseExpiries, "{reference}", "References put because their owners gave no sign of life within the lease.");
        meter.CreateObservableCounter(InstrumentNames.DmaFaults, () => _statistics.DmaFaults.Last, "{access}", "Accesses of emulated devices that could not be translated.");
        meter.CreateObservableGauge(InstrumentNames.Contexts, Contexts, "{context}", "Contexts open on the silo, by mode.");
        meter.CreateObservableGauge(InstrumentNames.Objects, () => ByType(_statistics.Objects()), "{object}", "Objects of the contexts open on the silo, by type.");
        meter.CreateObservableGauge(InstrumentNames.Holds, () => ByType(_statistics.Holds()), "{hold}", "Users counts that holders have on objects, beyond the table's own, by the type of the held object.");
    }

    public Task StartAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public Task StopAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    private static IEnumerable<Measurement<long>> ByType(IReadOnlyList<ObjectCount> counts)
        => counts.Select(count => new Measurement<long>(count.Count, new KeyValuePair<string, object?>(InstrumentNames.ObjectType, count.Type.Label())));

    private IEnumerable<Measurement<long>> Ioctls()
        => _statistics.Ioctls().Select(count => new Measurement<long>(
            count.Count, new(InstrumentNames.Command, CallSpan.CommandName(count.Command)), new(InstrumentNames.Errno, CallSpan.Name(count.Errno))));

    private IEnumerable<Measurement<long>> Contexts()
    {
        var (all, durable) = (_statistics.Contexts, _statistics.DurableContexts);
        return [new(durable, Durable), new(all - durable, Volatile)];
    }
}
