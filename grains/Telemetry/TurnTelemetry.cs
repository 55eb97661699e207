using System.Diagnostics.Metrics;
using IommuFd.GrainInterfaces;

namespace IommuFd.Grains.Telemetry;

// What a silo records turn by turn; what it counts anyway is in SiloMetrics. Each silo has its own meter, so that several in one process
// don't mix.

/// <summary>The histograms of a silo's turns and recoveries. Thread-safe.</summary>
internal sealed class TurnTelemetry
{
    private static readonly InstrumentAdvice<double> TurnTimes = new() { HistogramBucketBoundaries = [1e-6, 2.5e-6, 5e-6, 1e-5, 2.5e-5, 5e-5, 1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 1e-2, 2.5e-2, 5e-2, 0.1, 0.25, 0.5, 1, 2.5, 5, 10] };

    private readonly Histogram<double> _turnDuration;
    private readonly Histogram<double> _queueDuration;
    private readonly Histogram<double> _recoveryDuration;

    public TurnTelemetry(IMeterFactory meters)
    {
        var meter = meters.Create(IommufdTelemetry.MeterName);
        _turnDuration = meter.CreateHistogram(
            InstrumentNames.TurnDuration, "s", "Duration of contexts' turns from start to reply, including the journal. One turn in 16 of each context is measured.", advice: TurnTimes);
        _queueDuration = meter.CreateHistogram(
            InstrumentNames.QueueDuration,
            "s",
            "Time from the SDK's sending of a request to the start of its turn: the network, Orleans' queues and the turns before it. By the clocks of both sides; about one request in 1024 of each client thread is measured.",
            advice: TurnTimes);
        _recoveryDuration = meter.CreateHistogram(
            InstrumentNames.RecoveryDuration, "s", "Duration of recovering a context from its journal.", advice: new InstrumentAdvice<double> { HistogramBucketBoundaries = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60] });
    }

    /// <summary>Whether a listener measures how long requests wait.</summary>
    public bool MeasuresQueueTime => _queueDuration.Enabled;

    /// <summary>Records how long this turn's request has waited, if it says when it was sent.</summary>
    public void NoteQueueTime()
    {
        if (CallHeaders.ReadAge() is { } age)
        {
            _queueDuration.Record(age.TotalSeconds);
        }
    }

    /// <summary>Records a measured turn.</summary>
    public void NoteTurn(long nanoseconds) => _turnDuration.Record(nanoseconds / 1e9);

    /// <summary>Records the recovery of a context.</summary>
    public void NoteRecovery(TimeSpan duration) => _recoveryDuration.Record(duration.TotalSeconds);
}
