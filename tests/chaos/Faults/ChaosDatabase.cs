using IommuFd.TestSupport;

namespace IommuFd.Chaos.Faults;

/// <summary>A PostgreSQL server that crashes, and whose disk can be filled. The disk is in memory.</summary>
internal sealed class ChaosDatabase : IAsyncDisposable
{
    private const int Megabytes = 512;

    private readonly SmallDisk _disk;
    private readonly PostgresServer _server;

    private ChaosDatabase(SmallDisk disk) => (_disk, _server) = (disk, new PostgresServer(disk));

    /// <summary>Its connection string.</summary>
    public string ConnectionString { get; private set; } = "";

    /// <summary>Starts one.</summary>
    public static async Task<ChaosDatabase> StartAsync()
    {
        var database = new ChaosDatabase(await SmallDisk.MountAsync(Megabytes));
        await database._server.InitializeAsync();
        database.ConnectionString = await database._server.CreateDatabaseAsync();
        return database;
    }

    /// <summary>Crashes, and is started after a time.</summary>
    public async Task RestartAsync(TimeSpan away)
    {
        await _server.StopImmediatelyAsync();
        await Task.Delay(away);
        await _server.StartAsync();
    }

    /// <summary>Fills its disk for a time.</summary>
    public async Task FillDiskAsync(TimeSpan full)
    {
        _disk.Fill();
        await Task.Delay(full);
        _disk.Free();

        // It may have crashed, recover, or be about to end because it could not recover.
        await Eventually.TrueAsync(IsBackAsync, "the database answers once its disk has room");
    }

    public async ValueTask DisposeAsync()
    {
        await _server.DisposeAsync();
        await _disk.DisposeAsync();
    }

    private async Task<bool> IsBackAsync()
    {
        try
        {
            if (!await _server.IsUpAsync())
            {
                await _server.StartAsync();
            }
        }
        catch (InvalidOperationException)
        {
            // It ends or starts at this moment.
        }

        return await _server.AnswersAsync();
    }
}
