using IommuFd.GrainInterfaces;
using IommuFd.Grains.Journaling;
using IommuFd.Silo.Journals;
using IommuFd.TestSupport;
using Microsoft.Extensions.Logging.Abstractions;

namespace IommuFd.JournalTests;

/// <summary>What the loop makes of waiting writes, on a store whose commits end when the test says so.</summary>
public sealed class GroupCommitJournalTests : IAsyncDisposable
{
    private readonly List<IReadOnlyList<JournalWrite>> _commits = [];
    private readonly SemaphoreSlim _begun = new(0);
    private readonly SemaphoreSlim _mayEnd = new(0);
    private readonly MemoryJournalStore _store = new();
    private Func<int, Exception?> _failure = _ => null;

    [Fact]
    public async Task While_one_commit_is_under_way_the_next_gathers()
    {
        await using var journal = Journal();
        var first = journal.WriteAsync(Append(1));
        await _begun.WaitAsync();
        var others = Enumerable.Range(2, 99).Select(number => journal.WriteAsync(Append(number)).AsTask()).ToList();

        _mayEnd.Release(2);

        Assert.Equal(JournalOutcome.Committed, await first);
        Assert.All(await Task.WhenAll(others), outcome => Assert.Equal(JournalOutcome.Committed, outcome));
        Assert.Equal([1, 99], _commits.Select(commit => commit.Count));
    }

    [Fact]
    public async Task A_commit_has_no_more_writes_than_the_setting_says()
    {
        await using var journal = Journal(new JournalSettings { MaxBatch = 10 });
        var writes = await WaitBehindOneAsync(journal, Enumerable.Range(2, 25).Select(number => Append(number)));

        _mayEnd.Release(4);

        await Task.WhenAll(writes);
        Assert.Equal([1, 10, 10, 5], _commits.Select(commit => commit.Count));
        Assert.Equal(Enumerable.Range(1, 26).Select(Key), _commits.SelectMany(commit => commit).Select(write => write.Key));
    }

    [Fact]
    public async Task A_commit_has_no_more_bytes_than_the_setting_says_unless_one_write_has()
    {
        await using var journal = Journal(new JournalSettings { MaxBatchBytes = 100 });
        var writes = await WaitBehindOneAsync(journal, [Append(2, bytes: 60), Append(3, bytes: 40), Append(4, bytes: 1), Append(5, bytes: 1000), Append(6, bytes: 1), Append(7, bytes: 99)]);

        _mayEnd.Release(5);

        await Task.WhenAll(writes);
        Assert.Equal([1, 2, 1, 1, 2], _commits.Select(commit => commit.Count));
    }

    [Fact]
    public async Task Two_writes_of_a_context_are_never_in_one_commit()
    {
        await using var journal = Journal();
        var writes = await WaitBehindOneAsync(journal, [Append(2), Append(3), new AppendRecord(Key(2), 1, 2, [1]), Append(4)]);

        _mayEnd.Release(3);

        await Task.WhenAll(writes);
        Assert.Equal([[Key(1)], [Key(2), Key(3)], [Key(2), Key(4)]], _commits.Select(commit => commit.Select(write => write.Key)));
    }

    [Fact]
    public async Task An_exception_reaches_every_writer_of_its_commit_and_the_next_commit_works()
    {
        await using var journal = Journal();
        _failure = commit => commit == 2 ? new TimeoutException("the disk sleeps") : null;
        var writes = await WaitBehindOneAsync(journal, Enumerable.Range(2, 20).Select(number => Append(number)));
        _mayEnd.Release(2);

        Assert.Equal(JournalOutcome.Committed, await writes[0]);
        var told = new List<JournalStoreException>();
        foreach (var write in writes.Skip(1))
        {
            told.Add(await Assert.ThrowsAsync<JournalStoreException>(() => write));
        }

        Assert.All(told, exception => Assert.Contains("the disk sleeps", exception.Message, StringComparison.Ordinal));
        Assert.Equal(20, told.Distinct(ReferenceEqualityComparer.Instance).Count());

        _mayEnd.Release();
        Assert.Equal(JournalOutcome.Committed, await journal.WriteAsync(Append(100)));
    }

    [Fact]
    public async Task A_write_that_no_store_can_make_fails_its_writer_alone()
    {
        await using var journal = Journal();
        var good = journal.WriteAsync(Append(1)).AsTask();
        await _begun.WaitAsync();

        await Assert.ThrowsAnyAsync<ArgumentException>(() => journal.WriteAsync(new AppendRecord(Key(2), 1, 0, [1])).AsTask());
        await Assert.ThrowsAnyAsync<ArgumentException>(() => journal.WriteAsync(null!).AsTask());

        _mayEnd.Release();
        Assert.Equal(JournalOutcome.Committed, await good);
    }

    [Fact]
    public async Task A_full_queue_makes_writers_wait_for_a_place()
    {
        await using var journal = Journal(new JournalSettings { MaxQueue = 2, MaxBatch = 1 });
        var writes = await WaitBehindOneAsync(journal, Enumerable.Range(2, 10).Select(number => Append(number)));

        _mayEnd.Release(11);

        Assert.All(await Task.WhenAll(writes), outcome => Assert.Equal(JournalOutcome.Committed, outcome));
        Assert.Equal(11, _commits.Count);
    }

    [Fact]
    public async Task Closing_makes_what_waits_and_refuses_what_comes_later()
    {
        var journal = Journal();
        var writes = await WaitBehindOneAsync(journal, Enumerable.Range(2, 5).Select(number => Append(number)));

        var closing = journal.DisposeAsync().AsTask();
        var refused = await Assert.ThrowsAsync<JournalStoreException>(() => journal.WriteAsync(Append(100)).AsTask());
        Assert.Contains("The write was not made", refused.Message, StringComparison.Ordinal);
        Assert.False(closing.IsCompleted);
        _mayEnd.Release(2);

        await closing;
        Assert.All(await Task.WhenAll(writes), outcome => Assert.Equal(JournalOutcome.Committed, outcome));
        await journal.DisposeAsync();
    }

    [Fact]
    public async Task What_a_writer_does_next_does_not_run_on_the_loop()
    {
        await using var journal = Journal();
        using var blocked = new ManualResetEventSlim();

        // Were it run by the loop, which must not have got there before it is attached, the second write would never be committed.
        var first = journal.WriteAsync(Append(1)).AsTask();
        await _begun.WaitAsync();
        var next = first.ContinueWith(_ => blocked.Wait(), CancellationToken.None, TaskContinuationOptions.ExecuteSynchronously, TaskScheduler.Default);
        _mayEnd.Release(2);
        try
        {
            Assert.Equal(JournalOutcome.Committed, await journal.WriteAsync(Append(2)).AsTask().WaitAsync(TimeSpan.FromMinutes(1)));
        }
        finally
        {
            blocked.Set();
        }

        await next;
    }

    public async ValueTask DisposeAsync()
    {
        await _store.DisposeAsync();
        _begun.Dispose();
        _mayEnd.Dispose();
    }

    private static ContextKey Key(int number) => new(new Guid(number, 0, 0, new byte[8]));

    private static AppendRecord Append(int number, int bytes = 1) => new(Key(number), 1, 1, new byte[bytes]);

    private GroupCommitJournal Journal(JournalSettings? settings = null)
    {
        var store = new CountingJournalStore(_store)
        {
            BeforeCommit = async writes =>
            {
                _commits.Add(writes);
                _begun.Release();
                await _mayEnd.WaitAsync();
                if (_failure(_commits.Count) is { } exception)
                {
                    throw exception;
                }
            },
        };

        return new GroupCommitJournal(store, "silo-1", settings ?? new JournalSettings(), NullLogger<GroupCommitJournal>.Instance);
    }

    /// <summary>A first write whose commit has begun, and then others that wait behind it.</summary>
    private async Task<List<Task<JournalOutcome>>> WaitBehindOneAsync(GroupCommitJournal journal, IEnumerable<JournalWrite> others)
    {
        List<Task<JournalOutcome>> writes = [journal.WriteAsync(Append(1)).AsTask()];
        await _begun.WaitAsync();
        writes.AddRange(others.Select(write => journal.WriteAsync(write).AsTask()));
        return writes;
    }
}
