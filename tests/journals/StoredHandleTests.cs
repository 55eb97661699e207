using System.Text;
using IommuFd.Client;
using IommuFd.GrainInterfaces;
using IommuFd.Grains.Configuration;
using IommuFd.Silo;
using IommuFd.TestSupport;
using Microsoft.Extensions.DependencyInjection;

namespace IommuFd.JournalTests;

/// <summary>Who reads a database of journals, or a copy of it, finds the contexts' keys there and no handle.</summary>
[Collection(PostgresCollection.Name)]
public sealed class StoredHandleTests(PostgresServer server)
{
    // So small that work takes several snapshots, whose records are deleted and leave their bytes behind.
    private const int SnapshotAfterBytes = 8 * 1024;

    [Fact]
    public async Task A_SQLite_file_and_its_log_have_no_handle()
    {
        await using var place = new SqliteJournalPlace();
        await ExpectNoHandleAsync(place);
    }

    [Fact]
    public async Task The_tables_of_a_PostgreSQL_database_have_no_handle()
    {
        await using var place = await PostgresJournalPlace.CreateAsync(server);
        await ExpectNoHandleAsync(place);
    }

    private static async Task ExpectNoHandleAsync(JournalPlace place)
    {
        var contexts = new ContextOptions { DefaultMode = ContextMode.Durable, Lease = TimeSpan.Zero, SnapshotAfterBytes = SnapshotAfterBytes };
        using var host = await SiloHost.StartInProcessAsync(silo => silo.ConfigureLogging(HandleWatch.Shared.AddTo), contexts, place.Settings);
        var client = new IommufdClient(host.Services.GetRequiredService<IGrainFactory>());
        var (released, open) = (await WorkAsync(client), await WorkAsync(client));
        await released.DisposeAsync();
        Assert.NotEqual(0L, await place.QueryAsync("SELECT count(*) FROM journal_snapshots"));

        var stored = await place.DumpAsync();
        foreach (var handle in (ContextHandle[])[released.Context.Handle, open.Context.Handle])
        {
            Assert.True(Contains(stored, handle.Key.Value), $"the key of {handle.Key.Tag} is in what was read of {place.Settings.Store}");
            Assert.False(Contains(stored, handle.Value), $"the handle of {handle.Key.Tag} is not in what is stored in {place.Settings.Store}");
        }

        // The test of the test: a handle that is stored is found.
        await place.ExecuteAsync("UPDATE journal_snapshots SET frame = @frame", ("frame", open.Context.Handle.Value.ToByteArray()));
        Assert.True(Contains(await place.DumpAsync(), open.Context.Handle.Value), "a handle that was put into a frame is found");

        await host.StopAsync();
        HandleWatch.Shared.ExpectNone();
    }

    // A context with an object of every kind, and enough mappings for snapshots.
    private static async Task<Scenario> WorkAsync(IommufdClient client)
    {
        var scenario = await Scenario.OpenAsync(client);
        for (var i = 0; i < 200; i++)
        {
            await scenario.Context.MapAsync(scenario.Guest, DmaMemory.Allocate(4096));
        }

        return scenario;
    }

    // As bytes in both orders, and as digits.
    private static bool Contains(byte[] stored, Guid value)
    {
        byte[][] forms =
        [
            value.ToByteArray(), value.ToByteArray(bigEndian: true),
            .. ((string[])[$"{value:N}", $"{value:D}"]).SelectMany(digits => (byte[][])[Encoding.UTF8.GetBytes(digits), Encoding.UTF8.GetBytes(digits.ToUpperInvariant())]),
        ];
        return Array.Exists(forms, form => stored.AsSpan().IndexOf(form) >= 0);
    }
}
