using IommuFd.Grains.Journaling;
using IommuFd.Silo.Journals;
using IommuFd.TestSupport;
using Microsoft.Extensions.Logging.Abstractions;

namespace IommuFd.JournalTests;

/// <summary>Group commit on a real store.</summary>
public abstract partial class JournalStoreTests
{
    [Fact]
    public async Task A_hundred_writers_share_commits()
    {
        const int Writers = 100;
        const int Records = 20;
        var keys = await Task.WhenAll(Enumerable.Range(0, Writers).Select(_ => CreateAsync()));
        var counting = new CountingJournalStore(Store);
        await using (var journal = new GroupCommitJournal(counting, Owner, Place.Settings, NullLogger<GroupCommitJournal>.Instance))
        {
            await Task.WhenAll(keys.Select(async key =>
            {
                for (var position = 1; position <= Records; position++)
                {
                    Assert.Equal(JournalOutcome.Committed, await journal.WriteAsync(new AppendRecord(key, 1, position, [1, 2, 3])));
                }
            }));
        }

        Assert.Equal(Writers * Records, counting.Writes);
        Assert.True(counting.Commits * 4 < counting.Writes, $"{counting.Writes} writes took {counting.Commits} commits.");
        foreach (var key in keys)
        {
            Assert.Equal(Records, (await ReadAllAsync(Store, key)).Count);
        }
    }

    [Fact]
    public async Task After_a_commit_that_failed_a_context_finds_out_and_goes_on()
    {
        var (key, bystander) = (await CreateAsync(), await CreateAsync());
        await AppendAsync(key, 1, 1, [1]);
        await using var journal = new GroupCommitJournal(Store, Owner, Place.Settings, NullLogger<GroupCommitJournal>.Instance);

        await Assert.ThrowsAsync<JournalStoreException>(() => journal.WriteAsync(new AppendRecord(key, 1, 1, [9])).AsTask());

        Assert.Equal(JournalOutcome.Committed, await journal.WriteAsync(new AppendRecord(bystander, 1, 1, [2])));
        var head = await journal.Store.AcquireAsync(key, journal.Owner, default);
        var last = (await ReadAllAsync(journal.Store, key))[^1];
        Assert.Equal(JournalOutcome.Committed, await journal.WriteAsync(new AppendRecord(key, head!.Epoch, last.Position + 1, [3])));
    }
}
