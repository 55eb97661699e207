using IommuFd.Client;
using IommuFd.GrainInterfaces;

namespace IommuFd.ClusterTests.Durability;

/// <summary>A silo that stands still for longer than leases last, and goes on, does not hold that against those who could not reach it.</summary>
[Collection(PostgresCollection.Name)]
public sealed class StandstillTests(PostgresServer postgres)
{
    // Which of a context's turns comes first when its silo goes on, the look at its leases or a renewal that has waited, is chance: of so many, some look first.
    private const int Contexts = 12;

    private static readonly TimeSpan Lease = TimeSpan.FromSeconds(2);

    [Fact]
    public async Task Leases_do_not_run_out_while_their_silo_is_paused()
    {
        await using var cluster = await SiloCluster.StartAsync(await postgres.CreateDatabaseAsync(), silos: 1, $"--Contexts:Lease={Lease}");
        var client = new IommufdClient(await cluster.ConnectAsync());
        var contexts = await Task.WhenAll(Enumerable.Range(0, Contexts).Select(i => client.OpenAsync($"patient-{i}", ContextMode.Volatile)));
        var ioases = await Task.WhenAll(contexts.Select(context => context.AllocateIoasAsync().AsTask()));

        // Nothing tells how long a process has been stopped but time itself.
        await cluster.Silos[0].Process.SignalAsync("STOP");
        await Task.Delay(3 * Lease);
        await cluster.Silos[0].Process.SignalAsync("CONT");

        foreach (var (context, ioas) in contexts.Zip(ioases))
        {
            await context.DestroyAsync(ioas);
            Assert.False(context.IsLost, $"{context} is lost after the pause");
        }
    }
}
