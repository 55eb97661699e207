using IommuFd.GrainInterfaces;
using IommuFd.Grains.Journaling;

namespace IommuFd.UnitTests.Support;

/// <summary>The journal of one context in memory. A test says what becomes of writes.</summary>
internal sealed class MemoryJournal : IJournal, IJournalStore
{
    private readonly ContextKey _key;
    private readonly List<JournalEntry> _records = [];
    private long _epoch;

    /// <summary>Makes the journal.</summary>
    /// <param name="key">The context.</param>
    /// <param name="records">The records that it has, in order; none where it does not exist yet.</param>
    public MemoryJournal(ContextKey key, params byte[][] records)
    {
        _key = key;
        foreach (var record in records)
        {
            _records.Add(new JournalEntry(_records.Count + 1, JournalFrame.Encode(key.Value, _records.Count + 1, record)));
        }
    }

    /// <summary>The writes that were asked for, in order.</summary>
    public List<JournalWrite> Writes { get; } = [];

    /// <summary>What writes are answered.</summary>
    public JournalOutcome Outcome { get; set; }

    /// <summary>What the store fails with.</summary>
    public JournalStoreException? Failure { get; set; }

    public IJournalStore Store => this;

    public string Owner => "test";

    public string Description => "memory";

    public ValueTask<JournalOutcome> WriteAsync(JournalWrite write)
    {
        Writes.Add(write);
        return Failure is null ? ValueTask.FromResult(Outcome) : ValueTask.FromException<JournalOutcome>(Failure);
    }

    public Task<long?> CreateAsync(ContextKey key, string owner, CancellationToken cancellationToken)
        => Failure is null ? Task.FromResult(_epoch == 0 ? ++_epoch : (long?)null) : Task.FromException<long?>(Failure);

    public Task<JournalHead?> AcquireAsync(ContextKey key, string owner, CancellationToken cancellationToken)
        => Failure is not null ? Task.FromException<JournalHead?>(Failure)
            : Task.FromResult(key == _key && _records.Count > 0 ? new JournalHead(++_epoch, 0, null, null) : null);

    public Task<IReadOnlyList<JournalEntry>> ReadAsync(ContextKey key, long after, int maxBytes, CancellationToken cancellationToken)
        => Task.FromResult<IReadOnlyList<JournalEntry>>(_records.FindAll(record => record.Position > after));

    public Task InitializeAsync(CancellationToken cancellationToken) => throw new NotSupportedException();

    public Task<JournalOutcome[]> CommitAsync(IReadOnlyList<JournalWrite> writes, CancellationToken cancellationToken) => throw new NotSupportedException();

    public Task<IReadOnlyList<JournalInfo>> ListAsync(ContextKey? after, int limit, CancellationToken cancellationToken) => throw new NotSupportedException();

    public Task<int> PurgeAsync(TimeSpan age, CancellationToken cancellationToken) => throw new NotSupportedException();

    public Task ProbeAsync(CancellationToken cancellationToken) => throw new NotSupportedException();

    public ValueTask DisposeAsync() => ValueTask.CompletedTask;
}
