using System.Diagnostics;
using System.Diagnostics.Metrics;
using IommuFd.GrainInterfaces;
using IommuFd.Grains.Journaling;
using IommuFd.Grains.Telemetry;

namespace IommuFd.Silo.Journals;

/// <summary>What a silo measures of its journal. Every write is measured: next to a commit that costs nothing. Thread-safe.</summary>
public sealed class JournalMetrics
{
    private readonly Histogram<double> _appendDuration;
    private readonly Histogram<long> _commitSize;

    /// <summary>Makes the instruments.</summary>
    /// <param name="meters">The silo's meters.</param>
    public JournalMetrics(IMeterFactory meters)
    {
        ArgumentNullException.ThrowIfNull(meters);
        var meter = meters.Create(IommufdTelemetry.MeterName);
        _appendDuration = meter.CreateHistogram(
            InstrumentNames.JournalAppendDuration,
            "s",
            "How long writes to the journal take, from where a context asks for one to where it lasts: the wait for the commit before, and the commit.",
            advice: new InstrumentAdvice<double> { HistogramBucketBoundaries = [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30] });
        _commitSize = meter.CreateHistogram(
            InstrumentNames.JournalCommitSize, "{write}", "How many writes a commit has.", advice: new InstrumentAdvice<long> { HistogramBucketBoundaries = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512] });
    }

    /// <summary>Notes a write that is over.</summary>
    /// <param name="write">The write.</param>
    /// <param name="begun">When it was asked for, as a time stamp.</param>
    /// <param name="failure">Why it failed; null where it did not.</param>
    public void NoteWrite(JournalWrite write, long begun, Exception? failure)
    {
        var tags = new TagList { { InstrumentNames.Operation, NameOf(write) } };
        if (failure is not null)
        {
            tags.Add(InstrumentNames.ErrorType, failure.GetType().FullName);
        }

        _appendDuration.Record(Stopwatch.GetElapsedTime(begun).TotalSeconds, tags);
    }

    /// <summary>Notes a commit that was made.</summary>
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
