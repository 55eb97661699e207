using IommuFd.GrainInterfaces;
using IommuFd.Grains.Journaling;
using IommuFd.TestSupport;

namespace IommuFd.JournalTests;

/// <summary>What every store must do.</summary>
public abstract partial class JournalStoreTests : IAsyncLifetime
{
    protected const string Owner = "silo-1";

    private readonly List<IJournalStore> _opened = [];

    /// <summary>Where this test's journals are.</summary>
    protected JournalPlace Place { get; private set; } = null!;

    /// <summary>The first store on it.</summary>
    protected IJournalStore Store { get; private set; } = null!;

    public async Task InitializeAsync()
    {
        Place = await CreatePlaceAsync();
        Store = await OpenAsync();
    }

    public async Task DisposeAsync()
    {
        foreach (var store in _opened)
        {
            await store.DisposeAsync();
        }

        await Place.DisposeAsync();
    }

    [Fact]
    public async Task A_new_journal_has_epoch_1_and_nothing_in_it()
    {
        var key = ContextHandle.NewRandom().Key;

        Assert.Equal(1, await Store.CreateAsync(key, Owner, default));
        Assert.Empty(await ReadAllAsync(Store, key));
        Assert.Equal(new JournalHead(2, 0, null, null), await Store.AcquireAsync(key, Owner, default));
    }

    [Fact]
    public async Task A_handle_gets_one_journal_only()
    {
        var key = ContextHandle.NewRandom().Key;
        await Store.CreateAsync(key, Owner, default);

        Assert.Null(await Store.CreateAsync(key, "silo-2", default));
        Assert.Equal(new JournalInfo(key, 1, Owner), Assert.Single(await Store.ListAsync(null, 10, default)));
    }

    [Fact]
    public async Task Of_many_who_create_a_journal_at_once_one_does()
    {
        var other = await OpenAsync();
        var key = ContextHandle.NewRandom().Key;

        var created = await Task.WhenAll(Enumerable.Range(0, 16).Select(i => (i % 2 == 0 ? Store : other).CreateAsync(key, Owner, default)));

        Assert.Single(created, epoch => epoch == 1);
        Assert.Equal(15, created.Count(epoch => epoch is null));
    }

    [Fact]
    public async Task A_handle_without_a_journal_can_be_neither_acquired_nor_written()
    {
        var key = ContextHandle.NewRandom().Key;

        Assert.Null(await Store.AcquireAsync(key, Owner, default));
        Assert.Empty(await ReadAllAsync(Store, key));
        foreach (var write in (JournalWrite[])[new ConfirmEpoch(key, 1), new AppendRecord(key, 1, 1, [1]), new StoreSnapshot(key, 1, 0, [1]), new ReleaseJournal(key, 1, [1])])
        {
            Assert.Equal(JournalOutcome.Fenced, await CommitAsync(Store, write));
        }

        Assert.Null(await Store.AcquireAsync(key, Owner, default));
    }

    [Fact]
    public async Task Records_are_read_in_order_and_byte_for_byte()
    {
        var key = await CreateAsync();
        byte[][] frames = [[], [0], [0, 0, 0], [.. Enumerable.Range(0, 256).Select(i => (byte)i)], "'; DROP TABLE journal_records; --\0"u8.ToArray()];
        for (var i = 0; i < frames.Length; i++)
        {
            await AppendAsync(key, 1, i + 1, frames[i]);
        }

        var entries = await ReadAllAsync(Store, key);

        Assert.Equal([1, 2, 3, 4, 5], entries.Select(entry => entry.Position));
        Assert.Equal(frames, entries.Select(entry => entry.Frame));
    }

    [Fact]
    public async Task Reading_pages_stop_behind_the_record_that_reaches_the_size()
    {
        var key = await CreateAsync();
        for (var position = 1; position <= 10; position++)
        {
            await AppendAsync(key, 1, position, new byte[100]);
        }

        Assert.Equal([1, 2], await PositionsAsync(after: 0, maxBytes: 200));
        Assert.Equal([1, 2, 3], await PositionsAsync(after: 0, maxBytes: 201));
        Assert.Equal([4], await PositionsAsync(after: 3, maxBytes: 1));
        Assert.Equal([4], await PositionsAsync(after: 3, maxBytes: 0));
        Assert.Equal([10], await PositionsAsync(after: 9, maxBytes: int.MaxValue));
        Assert.Empty(await PositionsAsync(after: 10, maxBytes: int.MaxValue));
        Assert.Empty(await PositionsAsync(after: long.MaxValue, maxBytes: int.MaxValue));

        async Task<IEnumerable<long>> PositionsAsync(long after, int maxBytes)
            => (await Store.ReadAsync(key, after, maxBytes, default)).Select(entry => entry.Position);
    }

    [Fact]
    public async Task A_long_journal_is_read_whole_page_by_page()
    {
        const int Count = 10_000;
        var key = await CreateAsync();
        var sql = Place.Settings.Store == Silo.Journals.JournalStoreKind.Postgres
            ? "INSERT INTO journal_records SELECT @key, i, decode('0102', 'hex') FROM generate_series(1, @count) AS i"
            : "WITH RECURSIVE i(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM i WHERE n < @count) INSERT INTO journal_runs (key, position, frame) SELECT @key, n, x'0102' FROM i";
        Assert.Equal(Count, await Place.ExecuteAsync(sql, ("key", Place.Key(key)), ("count", Count)));

        Assert.Equal(Enumerable.Range(1, Count).Select(i => (long)i), (await ReadAllAsync(Store, key, int.MaxValue)).Select(entry => entry.Position));
    }

    [Fact]
    public async Task A_place_that_is_taken_is_an_error_and_what_stands_there_stays()
    {
        var (key, neighbour) = (await CreateAsync(), await CreateAsync());
        await AppendAsync(key, 1, 1, [1]);
        await AppendAsync(key, 1, 2, [2]);
        await CommitAsync(Store, new StoreSnapshot(key, 1, 1, [10]));

        foreach (var store in (IJournalStore[])[Store, await OpenAsync()])
        {
            foreach (var write in (JournalWrite[])[new AppendRecord(key, 1, 2, [9]), new AppendRecord(key, 1, 1, [9]), new StoreSnapshot(key, 1, 0, [9])])
            {
                var exception = await Assert.ThrowsAsync<JournalStoreException>(() => store.CommitAsync([new AppendRecord(neighbour, 1, 1, [7]), write], default));
                Assert.DoesNotContain(key.ToString(), exception.ToString(), StringComparison.OrdinalIgnoreCase);
            }
        }

        Assert.Equal([2], Assert.Single(await ReadAllAsync(Store, key)).Frame);
        Assert.Equal([10], (await Store.AcquireAsync(key, Owner, default))!.Snapshot);
        Assert.Empty(await ReadAllAsync(Store, neighbour));
    }

    [Fact]
    public async Task Open_journals_are_listed_page_by_page_in_the_order_of_their_digits()
    {
        var keys = new List<ContextKey> { new(Guid.Empty), new(Guid.AllBitsSet), Key("00000000000000000000000000000001"), Key("80000000000000000000000000000000"), Key("7fffffff000000000000000000000000") };
        keys.AddRange(Enumerable.Range(0, 20).Select(_ => ContextHandle.NewRandom().Key));
        foreach (var key in keys)
        {
            await Store.CreateAsync(key, Owner, default);
        }

        var released = keys[^1];
        await CommitAsync(Store, new ReleaseJournal(released, 1, [1]));
        await Store.AcquireAsync(keys[0], "silo-2", default);

        var listed = new List<JournalInfo>();
        for (IReadOnlyList<JournalInfo> page = await Store.ListAsync(null, 7, default); page.Count > 0; page = await Store.ListAsync(listed[^1].Key, 7, default))
        {
            Assert.True(page.Count <= 7);
            listed.AddRange(page);
        }

        Assert.Equal(keys.Where(key => key != released).Select(key => key.ToString()).Order(StringComparer.Ordinal), listed.Select(info => info.Key.ToString()));
        Assert.Equal(new JournalInfo(keys[0], 2, "silo-2"), listed[0]);
        await Assert.ThrowsAsync<ArgumentOutOfRangeException>(() => Store.ListAsync(null, 0, default));
    }

    [Fact]
    public async Task Frames_of_8_MiB_come_back_as_they_were()
    {
        var key = await CreateAsync();
        var (record, snapshot, last) = (RandomBytes(1, 8 << 20), RandomBytes(2, 8 << 20), RandomBytes(3, 8 << 20));

        await AppendAsync(key, 1, 1, record);
        await AppendAsync(key, 1, 2, record);
        Assert.Equal(record, Assert.Single(await Store.ReadAsync(key, 0, 1 << 20, default)).Frame);
        Assert.Equal(JournalOutcome.Committed, await CommitAsync(Store, new StoreSnapshot(key, 1, 1, snapshot)));
        Assert.Equal(snapshot, (await Store.AcquireAsync(key, Owner, default))!.Snapshot);
        Assert.Equal(record, Assert.Single(await ReadAllAsync(Store, key)).Frame);
        Assert.Equal(JournalOutcome.Committed, await CommitAsync(Store, new ReleaseJournal(key, 2, last)));
        Assert.Equal(last, (await Store.AcquireAsync(key, Owner, default))!.Released);
    }

    [Theory]
    [InlineData("00000000000000000000000000000000")]
    [InlineData("ffffffffffffffffffffffffffffffff")]
    [InlineData("00000000000000000000000000000027")]
    [InlineData("27206f7220313d31202d2d0000000000")]
    public async Task A_handle_is_bytes_and_nothing_more(string digits)
    {
        var (key, neighbour) = (Key(digits), await CreateAsync());
        Assert.Equal(1, await Store.CreateAsync(key, Owner, default));
        await AppendAsync(key, 1, 1, [1]);
        await AppendAsync(neighbour, 1, 1, [2]);

        Assert.Equal([1], Assert.Single(await ReadAllAsync(Store, key)).Frame);
        Assert.Equal(JournalOutcome.Committed, await CommitAsync(Store, new ReleaseJournal(key, 1, [3])));
        Assert.Equal([2], Assert.Single(await ReadAllAsync(Store, neighbour)).Frame);
        Assert.Equal(neighbour, Assert.Single(await Store.ListAsync(null, 10, default)).Key);
    }

    [Fact]
    public async Task An_owner_may_be_called_what_can_be_shown()
    {
        var key = ContextHandle.NewRandom().Key;
        foreach (var owner in (string[])["", "a\0b", "a\nb", "\ud800", new string('a', 257)])
        {
            await Assert.ThrowsAnyAsync<ArgumentException>(() => Store.CreateAsync(key, owner, default));
            await Assert.ThrowsAnyAsync<ArgumentException>(() => Store.AcquireAsync(key, owner, default));
        }

        const string Hostile = "S'; DROP TABLE journal_contexts; -- \"ü€";
        await Store.CreateAsync(key, Hostile, default);
        Assert.Equal(Hostile, Assert.Single(await Store.ListAsync(null, 10, default)).Owner);
    }

    [Fact]
    public async Task A_commit_that_makes_no_sense_is_refused_whole()
    {
        var (key, other) = (await CreateAsync(), await CreateAsync());
        JournalWrite good = new AppendRecord(other, 1, 1, [1]);
        foreach (var bad in (JournalWrite[][])
        [
            [new AppendRecord(key, 1, 1, [1]), new AppendRecord(key, 1, 2, [2])],
            [new ConfirmEpoch(key, 1), new ConfirmEpoch(key, 2)],
            [new AppendRecord(key, 1, 0, [1])],
            [new AppendRecord(key, 1, -1, [1])],
            [new StoreSnapshot(key, 1, -1, [1])],
            [new AppendRecord(key, 1, 1, null!)],
            [null!],
        ])
        {
            await Assert.ThrowsAnyAsync<ArgumentException>(() => Store.CommitAsync([good, .. bad], default));
        }

        Assert.Empty(await Store.CommitAsync([], default));
        Assert.Empty(await ReadAllAsync(Store, key));
        Assert.Empty(await ReadAllAsync(Store, other));
    }

    [Fact]
    public async Task What_is_committed_is_there_for_a_store_that_is_opened_later()
    {
        var key = await CreateAsync();
        await CommitAsync(Store, new StoreSnapshot(key, 1, 4, [4]));
        await AppendAsync(key, 1, 5, [5]);
        await Store.DisposeAsync();

        var later = await OpenAsync();

        Assert.Equal([5], (await ReadAllAsync(later, key)).Select(entry => entry.Position));
        var head = await later.AcquireAsync(key, "silo-2", default);
        Assert.Equal((2, 4), (head!.Epoch, head.SnapshotPosition));
        Assert.Equal([4], head.Snapshot);
    }

    [Fact]
    public async Task A_store_that_is_closed_says_so()
    {
        var key = await CreateAsync();
        await Store.DisposeAsync();

        var exception = await Assert.ThrowsAsync<JournalStoreException>(() => Store.CommitAsync([new ConfirmEpoch(key, 1)], default));
        Assert.Contains("the store is closed", exception.Message, StringComparison.Ordinal);
        await Assert.ThrowsAsync<JournalStoreException>(() => Store.AcquireAsync(key, Owner, default));
    }

    [Fact]
    public async Task What_is_cancelled_ends_early()
    {
        var key = await CreateAsync();
        using var cancelled = new CancellationTokenSource();
        await cancelled.CancelAsync();

        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => Store.AcquireAsync(key, Owner, cancelled.Token));
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => Store.ReadAsync(key, 0, 1, cancelled.Token));
        Assert.Equal(2, (await Store.AcquireAsync(key, Owner, default))!.Epoch);
    }

    [Fact]
    public async Task Damage_is_handed_over_as_it_is()
    {
        var key = await CreateAsync();
        await CommitAsync(Store, new StoreSnapshot(key, 1, 0, [10, 20, 30]));
        for (var position = 1; position <= 3; position++)
        {
            await AppendAsync(key, 1, position, [1, 2, 3]);
        }

        await Place.TruncateLastRecordAsync(key);
        await Place.FlipByteInRecordAsync(key, 2);
        await Place.FlipByteInSnapshotAsync(key);
        await Place.DeleteRecordAsync(key, 1);

        var entries = await ReadAllAsync(Store, key);
        Assert.Equal([2, 3], entries.Select(entry => entry.Position));
        Assert.Equal([1, 3, 3], entries[0].Frame);
        Assert.Equal([1, 2], entries[1].Frame);
        Assert.Equal([10, 21, 30], (await Store.AcquireAsync(key, Owner, default))!.Snapshot);
    }

    protected abstract Task<JournalPlace> CreatePlaceAsync();

    /// <summary>Opens one more store on this test's place, as another silo would.</summary>
    protected async Task<IJournalStore> OpenAsync()
    {
        var store = await Place.OpenInitializedStoreAsync();
        _opened.Add(store);
        return store;
    }

    protected async Task<ContextKey> CreateAsync()
    {
        var key = ContextHandle.NewRandom().Key;
        Assert.Equal(1, await Store.CreateAsync(key, Owner, default));
        return key;
    }

    protected async Task AppendAsync(ContextKey key, long epoch, long position, byte[] frame)
        => Assert.Equal(JournalOutcome.Committed, await CommitAsync(Store, new AppendRecord(key, epoch, position, frame)));

    protected static async Task<JournalOutcome> CommitAsync(IJournalStore store, JournalWrite write) => Assert.Single(await store.CommitAsync([write], default));

    protected static async Task<List<JournalEntry>> ReadAllAsync(IJournalStore store, ContextKey key, int pageBytes = 64 * 1024)
    {
        var all = new List<JournalEntry>();
        for (long after = 0; ; after = all[^1].Position)
        {
            var page = await store.ReadAsync(key, after, pageBytes, default);
            if (page.Count == 0)
            {
                return all;
            }

            all.AddRange(page);
        }
    }

    protected static ContextKey Key(string digits) => new(Guid.ParseExact(digits, "N"));

    private static byte[] RandomBytes(int seed, int count)
    {
        var bytes = new byte[count];
        new Random(seed).NextBytes(bytes);
        return bytes;
    }
}
