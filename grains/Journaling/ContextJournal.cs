using IommuFd.GrainInterfaces;
using IommuFd.Grains.Encoding;
using Orleans.Serialization;

namespace IommuFd.Grains.Journaling;

/// <summary>The journal of one context, as the activation that took it over has it. One write at a time: the context's turns see to that.</summary>
/// <param name="journal">The silo's journal.</param>
/// <param name="serializer">Writes what a record has.</param>
/// <param name="handle">The context.</param>
/// <param name="epoch">The epoch of this activation.</param>
/// <param name="snapshotAfterBytes">How many bytes of records a snapshot is worth at least.</param>
internal sealed class ContextJournal(IJournal journal, Serializer serializer, ContextHandle handle, long epoch, int snapshotAfterBytes)
{
    // Volatile contexts take their epochs from the clock. Those of durable ones are greater, should a handle have a life of each kind.
    private const long DurableEpochs = 1L << 62;

    private long _snapshotBytes;
    private long _recordBytes;

    /// <summary>The epoch that the grains of the context's objects are told.</summary>
    public long ObjectEpoch => DurableEpochs | epoch;

    /// <summary>The last record's place.</summary>
    public long Position { get; set; }

    /// <summary>
    /// Whether the records behind the snapshot have become more than it is worth: as large as it is, so that snapshots cost no more than records do, and a recovery reads at
    /// most twice what the context is.
    /// </summary>
    public bool WantsSnapshot => _recordBytes > Math.Max(snapshotAfterBytes, _snapshotBytes);

    /// <summary>Notes what a recovery has read.</summary>
    public void Note(long snapshotBytes, long recordBytes) => (_snapshotBytes, _recordBytes) = (snapshotBytes, recordBytes);

    /// <summary>Makes sure that this activation is still the context's.</summary>
    public ValueTask<JournalOutcome> ConfirmAsync() => journal.WriteAsync(new ConfirmEpoch(handle, epoch));

    /// <summary>Appends a record.</summary>
    public ValueTask<JournalOutcome> AppendAsync(JournalRecord record)
    {
        var frame = JournalFrame.Encode(handle.Value, ++Position, serializer.SerializeToArray(record));
        _recordBytes += frame.Length;
        return journal.WriteAsync(new AppendRecord(handle, epoch, Position, frame));
    }

    /// <summary>Replaces all records by a snapshot.</summary>
    public ValueTask<JournalOutcome> StoreAsync(ContextSnapshot snapshot)
    {
        var frame = JournalFrame.Encode(handle.Value, Position, serializer.SerializeToArray(snapshot));
        (_snapshotBytes, _recordBytes) = (frame.Length, 0);
        return journal.WriteAsync(new StoreSnapshot(handle, epoch, Position, frame));
    }

    /// <summary>Ends the journal of a context that is released.</summary>
    public ValueTask<JournalOutcome> ReleaseAsync(ReleasedReply words)
        => journal.WriteAsync(new ReleaseJournal(handle, epoch, JournalFrame.Encode(handle.Value, 0, serializer.SerializeToArray(words))));
}
