using IommuFd.GrainInterfaces;
using IommuFd.Grains.Journaling;

namespace IommuFd.JournalTests;

/// <summary>What makes a journal shorter: snapshots, release, and forgetting what was released.</summary>
public abstract partial class JournalStoreTests
{
    [Fact]
    public async Task A_snapshot_replaces_the_one_before_and_the_records_that_it_contains()
    {
        var key = await CreateAsync();
        for (var position = 1; position <= 6; position++)
        {
            await AppendAsync(key, 1, position, [(byte)position]);
        }

        Assert.Equal(JournalOutcome.Committed, await CommitAsync(Store, new StoreSnapshot(key, 1, 3, [30])));
        Assert.Equal([4, 5, 6], (await ReadAllAsync(Store, key)).Select(entry => entry.Position));
        Assert.Equal(JournalOutcome.Committed, await CommitAsync(Store, new StoreSnapshot(key, 1, 5, [50, 51])));
        Assert.Equal([6], (await ReadAllAsync(Store, key)).Select(entry => entry.Position));

        var head = await Store.AcquireAsync(key, Owner, default);
        Assert.Equal((2, 5), (head!.Epoch, head.SnapshotPosition));
        Assert.Equal([50, 51], head.Snapshot);
        Assert.Null(head.Released);
    }

    [Fact]
    public async Task A_snapshot_concerns_no_other_context()
    {
        var (key, other) = (await CreateAsync(), await CreateAsync());
        await AppendAsync(key, 1, 1, [1]);
        await AppendAsync(other, 1, 1, [2]);

        await CommitAsync(Store, new StoreSnapshot(key, 1, 1, [3]));

        Assert.Empty(await ReadAllAsync(Store, key));
        Assert.Equal([2], Assert.Single(await ReadAllAsync(Store, other)).Frame);
        Assert.Null((await Store.AcquireAsync(other, Owner, default))!.Snapshot);
    }

    [Fact]
    public async Task A_released_journal_keeps_its_last_words_and_nothing_else()
    {
        var key = await CreateAsync();
        await AppendAsync(key, 1, 1, [1]);
        await CommitAsync(Store, new StoreSnapshot(key, 1, 1, [2]));
        await AppendAsync(key, 1, 2, [3]);

        Assert.Equal(JournalOutcome.Committed, await CommitAsync(Store, new ReleaseJournal(key, 1, [4, 5])));

        Assert.Empty(await ReadAllAsync(Store, key));
        Assert.Equal(JournalOutcome.Fenced, await CommitAsync(Store, new ConfirmEpoch(key, 1)));
        Assert.Equal(JournalOutcome.Fenced, await CommitAsync(Store, new AppendRecord(key, 1, 3, [6])));
        Assert.Equal(JournalOutcome.Fenced, await CommitAsync(Store, new ReleaseJournal(key, 1, [7])));
        Assert.Null(await Store.CreateAsync(key, Owner, default));
        Assert.Empty(await Store.ListAsync(null, 10, default));
        var head = await Store.AcquireAsync(key, Owner, default);
        Assert.Equal([4, 5], head!.Released);
        Assert.Null(head.Snapshot);
        Assert.Equal(0L, Convert.ToInt64(await Place.QueryAsync("SELECT count(*) FROM journal_snapshots"), System.Globalization.CultureInfo.InvariantCulture));
        Assert.Equal(JournalOutcome.Fenced, await CommitAsync(Store, new ConfirmEpoch(key, head.Epoch)));
    }

    [Fact]
    public async Task Purging_forgets_what_was_released_long_ago()
    {
        var (open, old, young) = (await CreateAsync(), await CreateAsync(), await CreateAsync());
        await CommitAsync(Store, new ReleaseJournal(old, 1, [1]));
        await Place.AgeReleasedAsync(TimeSpan.FromHours(2));
        await CommitAsync(Store, new ReleaseJournal(young, 1, [2]));

        Assert.Equal(0, await Store.PurgeAsync(TimeSpan.MaxValue, default));
        Assert.Equal(0, await Store.PurgeAsync(TimeSpan.FromHours(3), default));
        Assert.Equal(1, await Store.PurgeAsync(TimeSpan.FromHours(1), default));

        Assert.Null(await Store.AcquireAsync(old, Owner, default));
        Assert.Equal([2], (await Store.AcquireAsync(young, Owner, default))!.Released);
        Assert.Equal(open, Assert.Single(await Store.ListAsync(null, 10, default)).Key);
        await Assert.ThrowsAsync<ArgumentOutOfRangeException>(() => Store.PurgeAsync(TimeSpan.FromTicks(-1), default));
    }

    [Fact]
    public async Task Purging_goes_on_until_nothing_is_left_to_forget()
    {
        const int Count = 2500;
        var keys = Enumerable.Range(0, Count).Select(_ => ContextHandle.NewRandom().Key).ToList();
        await Store.CreateAsync(keys[0], Owner, default);
        await Store.CommitAsync([new ReleaseJournal(keys[0], 1, [1])], default);
        foreach (var rows in keys.Skip(1).Chunk(100))
        {
            var values = string.Join(", ", rows.Select((_, i) => $"(@h{i}, 1, 'silo-1', 0, (SELECT released FROM journal_contexts LIMIT 1), (SELECT released_at FROM journal_contexts LIMIT 1))"));
            await Place.ExecuteAsync(
                $"INSERT INTO journal_contexts (key, epoch, owner, snapshot_position, released, released_at) VALUES {values}",
                [.. rows.Select((key, i) => ($"h{i}", Place.Key(key)))]);
        }

        await Place.AgeReleasedAsync(TimeSpan.FromHours(1));

        Assert.Equal(Count, await Store.PurgeAsync(TimeSpan.FromMinutes(1), default));
        Assert.Equal(0, await Store.PurgeAsync(TimeSpan.Zero, default));
    }

    [Fact]
    public async Task A_probe_leaves_nothing_behind_and_disturbs_no_journal()
    {
        var key = await CreateAsync();
        await AppendAsync(key, 1, 1, [1]);

        await Task.WhenAll(Enumerable.Range(0, 5).Select(_ => Store.ProbeAsync(default)));

        Assert.Equal(key, Assert.Single(await Store.ListAsync(null, 10, default)).Key);
        Assert.Equal(1L, Convert.ToInt64(await Place.QueryAsync("SELECT count(*) FROM journal_contexts"), System.Globalization.CultureInfo.InvariantCulture));
        Assert.Equal(JournalOutcome.Committed, await CommitAsync(Store, new AppendRecord(key, 1, 2, [2])));
    }
}
