using IommuFd.GrainInterfaces;
using Orleans.Serialization;

namespace IommuFd.Grains.Journaling;

/// <summary>The journal of one context, as the activation that took it over has it. One write at a time: the context's turns see to that.</summary>
/// <param name="journal">The silo's journal.</param>
/// <param name="serializer">Writes what a record has.</param>
/// <param name="handle">The context.</param>
/// <param name="epoch">The epoch of this activation.</param>
internal sealed class ContextJournal(IJournal journal, Serializer serializer, ContextHandle handle, long epoch)
{
    // Volatile contexts take their epochs from the clock. Those of durable ones are greater, should a handle have a life of each kind.
    private const long DurableEpochs = 1L << 62;

    /// <summary>The epoch that the grains of the context's objects are told.</summary>
    public long ObjectEpoch => DurableEpochs | epoch;

    /// <summary>The last record's place.</summary>
    public long Position { get; set; }

    /// <summary>Makes sure that this activation is still the context's.</summary>
    public ValueTask<JournalOutcome> ConfirmAsync() => journal.WriteAsync(new ConfirmEpoch(handle, epoch));

    /// <summary>Appends a record.</summary>
    public ValueTask<JournalOutcome> AppendAsync(JournalRecord record)
    {
        var frame = JournalFrame.Encode(handle.Value, ++Position, serializer.SerializeToArray(record));
        return journal.WriteAsync(new AppendRecord(handle, epoch, Position, frame));
    }

    /// <summary>Replaces all records, up to a place, by those of a snapshot.</summary>
    public ValueTask<JournalOutcome> StoreAsync(ContextSnapshot snapshot)
        => journal.WriteAsync(new StoreSnapshot(handle, epoch, Position, JournalFrame.Encode(handle.Value, Position, serializer.SerializeToArray(snapshot))));

    /// <summary>Ends the journal of a context that is released.</summary>
    public ValueTask<JournalOutcome> ReleaseAsync(LastWords words)
        => journal.WriteAsync(new ReleaseJournal(handle, epoch, JournalFrame.Encode(handle.Value, 0, serializer.SerializeToArray(words))));
}
