using System.Diagnostics.Metrics;
using IommuFd.GrainInterfaces;

namespace IommuFd.Grains.Telemetry;

// What a silo measures by recording it, turn by turn; what it counts anyway is in SiloMetrics. Each silo has its own meter, so that several in one process don't mix.

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
            InstrumentNames.TurnDuration, "s", "How long turns of contexts take, from their begin to their answer, the journal included. Of each context one turn in 16 is measured.", advice: TurnTimes);
        _queueDuration = meter.CreateHistogram(
            InstrumentNames.QueueDuration,
            "s",
            "How long requests take from where the SDK sends them to the begin of their turn: the network, Orleans' queues and the turns before. By the clocks of both sides; of each thread of a client about one request in 1024 is measured.",
            advice: TurnTimes);
        _recoveryDuration = meter.CreateHistogram(
            InstrumentNames.RecoveryDuration, "s", "How long it takes to make a context again from its journal.", advice: new InstrumentAdvice<double> { HistogramBucketBoundaries = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60] });
    }

    /// <summary>Whether somebody wants to know how long requests wait.</summary>
    public bool MeasuresQueueTime => _queueDuration.Enabled;

    /// <summary>Notes how long the request of this turn has waited, where it says when it was sent.</summary>
    public void NoteQueueTime()
    {
        if (CallHeaders.ReadAge() is { } age)
        {
            _queueDuration.Record(age.TotalSeconds);
        }
    }

    /// <summary>Notes a turn that is measured.</summary>
    public void NoteTurn(long nanoseconds) => _turnDuration.Record(nanoseconds / 1e9);

    /// <summary>Notes that a context was made again.</summary>
    public void NoteRecovery(TimeSpan duration) => _recoveryDuration.Record(duration.TotalSeconds);
}
