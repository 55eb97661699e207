using IommuFd.GrainInterfaces;
using IommuFd.Grains.Journaling;

namespace IommuFd.JournalTests;

/// <summary>A store that makes every write, and keeps none: for tests of who asks it.</summary>
internal sealed class MemoryJournalStore : IJournalStore
{
    public string Description => "memory";

    public Task InitializeAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public Task<long?> CreateAsync(ContextKey key, string owner, CancellationToken cancellationToken) => Task.FromResult<long?>(1);

    public Task<JournalHead?> AcquireAsync(ContextKey key, string owner, CancellationToken cancellationToken) => Task.FromResult<JournalHead?>(null);

    public Task<IReadOnlyList<JournalEntry>> ReadAsync(ContextKey key, long after, int maxBytes, CancellationToken cancellationToken)
        => Task.FromResult<IReadOnlyList<JournalEntry>>([]);

    public Task<JournalOutcome[]> CommitAsync(IReadOnlyList<JournalWrite> writes, CancellationToken cancellationToken)
        => Task.FromResult(new JournalOutcome[writes.Count]);

    public Task<IReadOnlyList<JournalInfo>> ListAsync(ContextKey? after, int limit, CancellationToken cancellationToken) => Task.FromResult<IReadOnlyList<JournalInfo>>([]);

    public Task<int> PurgeAsync(TimeSpan age, CancellationToken cancellationToken) => Task.FromResult(0);

    public Task ProbeAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public ValueTask DisposeAsync() => ValueTask.CompletedTask;
}
