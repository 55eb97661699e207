using IommuFd.GrainInterfaces;
using IommuFd.Grains.Journaling;

namespace IommuFd.TestSupport;

/// <summary>A wrapper that counts the calls of a store, and lets a test make them fail.</summary>
public sealed class CountingJournalStore(IJournalStore store) : IJournalStore
{
    private long _commits;
    private long _writes;
    private long _probes;

    /// <summary>How many commits there were.</summary>
    public long Commits => Interlocked.Read(ref _commits);

    /// <summary>How many writes they contained.</summary>
    public long Writes => Interlocked.Read(ref _writes);

    /// <summary>How often it was asked whether it can be written to.</summary>
    public long Probes => Interlocked.Read(ref _probes);

    /// <summary>Called before each of these, which throws what it throws.</summary>
    public Func<Task>? BeforeProbe { get; set; }

    /// <summary>Called before each commit, which throws what it throws.</summary>
    public Func<IReadOnlyList<JournalWrite>, Task>? BeforeCommit { get; set; }

    /// <inheritdoc/>
    public string Description => store.Description;

    /// <inheritdoc/>
    public Task InitializeAsync(CancellationToken cancellationToken) => store.InitializeAsync(cancellationToken);

    /// <inheritdoc/>
    public Task<long?> CreateAsync(ContextKey key, string owner, CancellationToken cancellationToken) => store.CreateAsync(key, owner, cancellationToken);

    /// <inheritdoc/>
    public Task<JournalHead?> AcquireAsync(ContextKey key, string owner, CancellationToken cancellationToken) => store.AcquireAsync(key, owner, cancellationToken);

    /// <inheritdoc/>
    public Task<IReadOnlyList<JournalEntry>> ReadAsync(ContextKey key, long after, int maxBytes, CancellationToken cancellationToken)
        => store.ReadAsync(key, after, maxBytes, cancellationToken);

    /// <inheritdoc/>
    public async Task<JournalOutcome[]> CommitAsync(IReadOnlyList<JournalWrite> writes, CancellationToken cancellationToken)
    {
        Interlocked.Increment(ref _commits);
        Interlocked.Add(ref _writes, writes.Count);
        if (BeforeCommit is { } before)
        {
            await before(writes);
        }

        return await store.CommitAsync(writes, cancellationToken);
    }

    /// <inheritdoc/>
    public Task<IReadOnlyList<JournalInfo>> ListAsync(ContextKey? after, int limit, CancellationToken cancellationToken) => store.ListAsync(after, limit, cancellationToken);

    /// <inheritdoc/>
    public Task<int> PurgeAsync(TimeSpan age, CancellationToken cancellationToken) => store.PurgeAsync(age, cancellationToken);

    /// <inheritdoc/>
    public async Task ProbeAsync(CancellationToken cancellationToken)
    {
        Interlocked.Increment(ref _probes);
        if (BeforeProbe is { } before)
        {
            await before();
        }

        await store.ProbeAsync(cancellationToken);
    }

    /// <inheritdoc/>
    public ValueTask DisposeAsync() => store.DisposeAsync();
}
