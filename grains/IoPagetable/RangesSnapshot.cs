using IommuFd.GrainInterfaces;
using IommuFd.Grains.Encoding;

namespace IommuFd.Grains.IoPagetable;

/// <summary>Saved ranges of IOVAs.</summary>
[GenerateSerializer, Immutable, OmitDefaultMemberValues, SuppressReferenceTracking, Alias("IommuFd.RangesSnapshot")]
internal sealed record RangesSnapshot
{
    /// <summary>First IOVAs: a column.</summary>
    [Id(0)]
    public DeltaColumn Starts { get; init; }

    /// <summary>Bytes less 1: a column.</summary>
    [Id(1)]
    public DeltaColumn Spans { get; init; }

    /// <summary>The ids of the devices that own them, 0 for no owner: a column. Empty where ranges have no owners.</summary>
    [Id(2)]
    public DeltaColumn Owners { get; init; }

    public static RangesSnapshot Of(ReadOnlySpan<IovaRange> ranges)
    {
        var (starts, spans) = (new ColumnWriter(), new ColumnWriter());
        foreach (var range in ranges)
        {
            starts.Add(range.Start);
            spans.Add(range.Last - range.Start);
        }

        return new RangesSnapshot { Starts = starts.ToColumn(), Spans = spans.ToColumn() };
    }

    public List<IovaRange> ToRanges()
    {
        var (starts, spans, ranges) = (Starts.Read(), Spans.Read(), new List<IovaRange>());
        while (starts.TryNext(out var start))
        {
            var span = spans.Next();
            SnapshotFormat.Require(span <= ulong.MaxValue - start, "A range extends past the last IOVA.");
            ranges.Add(new IovaRange(start, start + span));
        }

        spans.End();
        return ranges;
    }
}
