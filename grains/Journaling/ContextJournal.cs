using IommuFd.GrainInterfaces;
using IommuFd.Grains.Encoding;
using Orleans.Serialization;

namespace IommuFd.Grains.Journaling;

/// <summary>
/// The journal of one context, in the hands of the activation that acquired it. One write at a time, which the context's turns ensure.
/// </summary>
/// <param name="journal">The silo's journal.</param>
/// <param name="serializer">Serializes records and snapshots.</param>
/// <param name="key">The context.</param>
/// <param name="epoch">The epoch of this activation.</param>
/// <param name="snapshotAfterBytes">Takes no snapshot before there are this many bytes of records.</param>
internal sealed class ContextJournal(IJournal journal, Serializer serializer, ContextKey key, long epoch, int snapshotAfterBytes)
{
    // Volatile contexts take their epochs from the clock. Those of durable contexts are greater, in case a handle is used once in each
    // mode.
    private const long DurableEpochs = 1L << 62;

    private long _snapshotBytes;
    private long _recordBytes;

    /// <summary>The epoch in the calls to the grains of the context's objects.</summary>
    public long ObjectEpoch => DurableEpochs | epoch;

    /// <summary>The last record's position.</summary>
    public long Position { get; set; }

    /// <summary>
    /// Whether a snapshot is due: the records behind the last one have grown as large as it is. So snapshots cost no more than records, and
    /// a recovery reads at most twice the context's size.
    /// </summary>
    public bool WantsSnapshot => _recordBytes > Math.Max(snapshotAfterBytes, _snapshotBytes);

    /// <summary>Takes over the sizes that a recovery has read.</summary>
    public void Note(long snapshotBytes, long recordBytes) => (_snapshotBytes, _recordBytes) = (snapshotBytes, recordBytes);

    /// <summary>Confirms that this activation still owns the epoch.</summary>
    public ValueTask<JournalOutcome> ConfirmAsync() => journal.WriteAsync(new ConfirmEpoch(key, epoch));

    /// <summary>Appends a record.</summary>
    public ValueTask<JournalOutcome> AppendAsync(JournalRecord record)
    {
        var frame = JournalFrame.Encode(key.Value, ++Position, serializer.SerializeToArray(record));
        _recordBytes += frame.Length;
        return journal.WriteAsync(new AppendRecord(key, epoch, Position, frame));
    }

    /// <summary>Replaces all records with a snapshot.</summary>
    public ValueTask<JournalOutcome> StoreAsync(ContextSnapshot snapshot)
    {
        var frame = JournalFrame.Encode(key.Value, Position, serializer.SerializeToArray(snapshot));
        (_snapshotBytes, _recordBytes) = (frame.Length, 0);
        return journal.WriteAsync(new StoreSnapshot(key, epoch, Position, frame));
    }

    /// <summary>Ends the journal of a released context.</summary>
    public ValueTask<JournalOutcome> ReleaseAsync(ReleasedReply words)
        => journal.WriteAsync(new ReleaseJournal(key, epoch, JournalFrame.Encode(key.Value, 0, serializer.SerializeToArray(words))));
}
