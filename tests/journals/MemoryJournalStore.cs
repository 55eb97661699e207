using IommuFd.GrainInterfaces;
using IommuFd.Grains.Journaling;

namespace IommuFd.JournalTests;

/// <summary>A store that makes every write, and keeps none: for tests of who asks it.</summary>
internal sealed class MemoryJournalStore : IJournalStore
{
    public string Description => "memory";

    public Task InitializeAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public Task<long?> CreateAsync(ContextHandle handle, string owner, CancellationToken cancellationToken) => Task.FromResult<long?>(1);

    public Task<JournalHead?> AcquireAsync(ContextHandle handle, string owner, CancellationToken cancellationToken) => Task.FromResult<JournalHead?>(null);

    public Task<IReadOnlyList<JournalEntry>> ReadAsync(ContextHandle handle, long after, int maxBytes, CancellationToken cancellationToken)
        => Task.FromResult<IReadOnlyList<JournalEntry>>([]);

    public Task<JournalOutcome[]> CommitAsync(IReadOnlyList<JournalWrite> writes, CancellationToken cancellationToken)
        => Task.FromResult(new JournalOutcome[writes.Count]);

    public Task<IReadOnlyList<JournalInfo>> ListAsync(ContextHandle? after, int limit, CancellationToken cancellationToken) => Task.FromResult<IReadOnlyList<JournalInfo>>([]);

    public Task<int> PurgeAsync(TimeSpan age, CancellationToken cancellationToken) => Task.FromResult(0);

    public ValueTask DisposeAsync() => ValueTask.CompletedTask;
}
