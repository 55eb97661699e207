using System.Globalization;
using IommuFd.GrainInterfaces;
using IommuFd.Grains.Journaling;

namespace IommuFd.JournalTests;

/// <summary>The tables: made once, by whoever comes first, and left alone by whoever is too old for them.</summary>
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

        var handle = ContextHandle.NewRandom();
        Assert.Equal(1, await stores[0].CreateAsync(handle, Owner, default));
        Assert.Equal(2, (await stores[1].AcquireAsync(handle, Owner, default))!.Epoch);
        Assert.Equal(JournalOutcome.Committed, await CommitAsync(stores[2], new AppendRecord(handle, 2, 1, [1])));
        Assert.Equal(1L, Convert.ToInt64(await place.QueryAsync("SELECT count(*) FROM journal_schema"), CultureInfo.InvariantCulture));
        foreach (var store in stores)
        {
            await store.DisposeAsync();
        }
    }

    [Fact]
    public async Task Setting_up_a_place_that_is_in_use_changes_nothing()
    {
        var handle = await CreateAsync();
        await AppendAsync(handle, 1, 1, [1]);

        var version = await SchemaVersionAsync();

        await Store.InitializeAsync(default);
        await OpenAsync();

        Assert.Equal(version, await SchemaVersionAsync());
        Assert.Equal(JournalOutcome.Committed, await CommitAsync(Store, new AppendRecord(handle, 1, 2, [2])));
        Assert.Equal(2, (await ReadAllAsync(Store, handle)).Count);
    }

    private async Task<int> SchemaVersionAsync() => Convert.ToInt32(await Place.QueryAsync("SELECT version FROM journal_schema"), CultureInfo.InvariantCulture);
}
