using System.Globalization;
using IommuFd.GrainInterfaces;
using IommuFd.Grains.Journaling;
using IommuFd.TestSupport;

namespace IommuFd.JournalTests;

/// <summary>The tables: created once, by the first silo that needs them, and left alone by a silo that is too old for them.</summary>
public abstract partial class JournalStoreTests
{
    [Fact]
    public async Task Tables_of_a_newer_version_are_refused_and_left_as_they_are()
    {
        await Place.ExecuteAsync("UPDATE journal_schema SET version = 1000");
        await using var store = Place.OpenStore();

        var exception = await Assert.ThrowsAsync<JournalStoreException>(() => store.InitializeAsync(default));

        Assert.Contains("tables of version 1000", exception.Message, StringComparison.Ordinal);
        Assert.Equal(1000, await SchemaVersionAsync());
    }

    [Fact]
    public async Task Stores_that_set_up_the_same_place_at_once_all_succeed()
    {
        await using var place = await CreatePlaceAsync();
        var stores = Enumerable.Range(0, 3).Select(_ => place.OpenStore()).ToList();

        await Task.WhenAll(stores.Select(store => Task.Run(() => store.InitializeAsync(default))));

        var key = ContextHandle.NewRandom().Key;
        Assert.Equal(1, await stores[0].CreateAsync(key, Owner, default));
        Assert.Equal(2, (await stores[1].AcquireAsync(key, Owner, default))!.Epoch);
        Assert.Equal(JournalOutcome.Committed, await CommitAsync(stores[2], new AppendRecord(key, 2, 1, [1])));
        Assert.Equal(1L, Convert.ToInt64(await place.QueryAsync("SELECT count(*) FROM journal_schema"), CultureInfo.InvariantCulture));
        foreach (var store in stores)
        {
            await store.DisposeAsync();
        }
    }

    [Fact]
    public async Task Setting_up_a_place_that_is_in_use_changes_nothing()
    {
        var key = await CreateAsync();
        await AppendAsync(key, 1, 1, [1]);

        var version = await SchemaVersionAsync();

        await Store.InitializeAsync(default);
        await OpenAsync();

        Assert.Equal(version, await SchemaVersionAsync());
        Assert.Equal(JournalOutcome.Committed, await CommitAsync(Store, new AppendRecord(key, 1, 2, [2])));
        Assert.Equal(2, (await ReadAllAsync(Store, key)).Count);
    }

    [Fact]
    public async Task Tables_whose_keys_were_handles_are_brought_up_to_date_with_all_that_is_in_them()
    {
        await using var place = await CreatePlaceAsync();
        await CreateTablesOfHandlesAsync(place);
        var (open, released) = (ContextHandle.NewRandom(), ContextHandle.NewRandom());
        var damaged = Frame(open.Value, 4);
        damaged[^1] ^= 1;
        await place.ExecuteAsync("INSERT INTO journal_contexts (handle, epoch, owner, snapshot_position) VALUES (@handle, 4, 'silo-1', 1)", Named(open));
        await place.ExecuteAsync("INSERT INTO journal_snapshots (handle, frame) VALUES (@handle, @frame)", Named(open), ("frame", Frame(open.Value, 1)));
        foreach (var (position, frame) in (IEnumerable<(long, byte[])>)[(2, Frame(open.Value, 2)), (3, Frame(open.Value, 3)), (4, damaged)])
        {
            await place.ExecuteAsync(
                $"INSERT INTO {place.Records} (handle, position, frame) VALUES (@handle, @position, @frame)", Named(open), ("position", position), ("frame", frame));
        }

        await place.ExecuteAsync(
            "INSERT INTO journal_contexts (handle, epoch, owner, snapshot_position, released) VALUES (@handle, 7, 'silo-2', 0, @frame)",
            Named(released), ("frame", Frame(released.Value, 0)));

        await using var store = place.OpenStore();
        await store.InitializeAsync(default);

        Assert.Equal(
            new[] { open.Key, released.Key }.OrderBy(key => key.ToString()), (await store.ListAsync(null, 10, default)).Select(info => info.Key).OrderBy(key => key.ToString()));
        Assert.Null(await store.AcquireAsync(new ContextKey(open.Value), Owner, default));
        var head = (await store.AcquireAsync(open.Key, Owner, default))!;
        Assert.Equal((5L, 1L, 1L), (head.Epoch, head.SnapshotPosition, ContentOf(open.Key, 1, head.Snapshot!)));
        Assert.Equal([2L, 3L, null], (await ReadAllAsync(store, open.Key)).Select(entry => ContentOf(open.Key, entry.Position, entry.Frame)));
        head = (await store.AcquireAsync(released.Key, Owner, default))!;
        Assert.Equal((8L, 0L), (head.Epoch, ContentOf(released.Key, 0, head.Released!)));

        (string, object) Named(ContextHandle handle) => ("handle", place.Key(new ContextKey(handle.Value)));
    }

    /// <summary>Makes the tables of the last version whose keys were handles.</summary>
    protected abstract Task CreateTablesOfHandlesAsync(JournalPlace place);

    /// <summary>A frame whose content is its position.</summary>
    private protected static byte[] Frame(Guid key, long position) => JournalFrame.Encode(key, position, BitConverter.GetBytes(position));

    /// <summary>The content of such a frame; null if it is damaged or in another's place.</summary>
    private protected static long? ContentOf(ContextKey key, long position, byte[] frame)
        => JournalFrame.TryDecode(key.Value, position, frame, out var content) ? BitConverter.ToInt64(content.Span) : null;

    private async Task<int> SchemaVersionAsync() => Convert.ToInt32(await Place.QueryAsync("SELECT version FROM journal_schema"), CultureInfo.InvariantCulture);
}
