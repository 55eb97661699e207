using System.Diagnostics;
using System.Diagnostics.Metrics;
using IommuFd.GrainInterfaces;
using IommuFd.Grains.Journaling;
using IommuFd.Grains.Telemetry;

namespace IommuFd.Silo.Journals;

/// <summary>Metrics of a silo's journal. Every write is measured, which costs nothing next to a commit. Thread-safe.</summary>
public sealed class JournalMetrics
{
    private readonly Histogram<double> _appendDuration;
    private readonly Histogram<long> _commitSize;

    /// <summary>Creates the instruments.</summary>
    /// <param name="meters">The silo's meters.</param>
    public JournalMetrics(IMeterFactory meters)
    {
        ArgumentNullException.ThrowIfNull(meters);
        var meter = meters.Create(IommufdTelemetry.MeterName);
        _appendDuration = meter.CreateHistogram(
            InstrumentNames.JournalAppendDuration,
            "s",
            "Duration of journal writes, from a context's request until the write is durable: the wait for the previous commit, and the commit.",
            advice: new InstrumentAdvice<double> { HistogramBucketBoundaries = [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30] });
        _commitSize = meter.CreateHistogram(
            InstrumentNames.JournalCommitSize, "{write}", "Writes per commit.", advice: new InstrumentAdvice<long> { HistogramBucketBoundaries = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512] });
    }

    /// <summary>Records a completed write.</summary>
    /// <param name="write">The write.</param>
    /// <param name="begun">When it was requested, as a timestamp.</param>
    /// <param name="failure">Why it failed; null if it did not.</param>
    public void NoteWrite(JournalWrite write, long begun, Exception? failure)
    {
        var tags = new TagList { { InstrumentNames.Operation, NameOf(write) } };
        if (failure is not null)
        {
            tags.Add(InstrumentNames.ErrorType, failure.GetType().FullName);
        }

        _appendDuration.Record(Stopwatch.GetElapsedTime(begun).TotalSeconds, tags);
    }

    /// <summary>Records a successful commit.</summary>
    public void NoteCommit(int writes) => _commitSize.Record(writes);

    private static string NameOf(JournalWrite write) => write switch
    {
        AppendRecord => "append",
        ConfirmEpoch => "confirm",
        StoreSnapshot => "snapshot",
        ReleaseJournal => "release",
        _ => "other",
    };
}
