using IommuFd.Client;
using IommuFd.GrainInterfaces;
using IommuFd.Uapi;

namespace IommuFd.ClusterTests.Monitoring;

/// <summary>Silos in processes of their own, one of which is killed: what people see goes on.</summary>
[Collection(PostgresCollection.Name)]
public sealed class MonitorFailoverTests(PostgresServer postgres)
{
    [Fact]
    public async Task Tail_goes_on_where_a_context_is_made_again_and_the_overview_shows_who_is_gone()
    {
        var database = await postgres.CreateDatabaseAsync();
        await using var cluster = await SiloCluster.StartAsync(database, silos: 2);
        var grains = await cluster.ConnectAsync();
        var client = new IommufdClient(grains);
        await using var context = await client.OpenAsync("followed", ContextMode.Durable);
        var ioas = await context.AllocateIoasAsync();
        await using var follower = ChildProcess.Start("iommufd.dll", "tail", $"{context.Handle}", "--cluster", database);
        await follower.WaitForLineAsync("IOMMU_IOAS_ALLOC");

        var address = (await context.InspectAsync()).Silo;
        var leaving = cluster.Silos.Single(silo => address.Contains($":{silo.SiloPort}", StringComparison.Ordinal));
        await leaving.Process.SignalAsync("KILL");
        await context.DestroyAsync(ioas);
        await follower.WaitForLineAsync("--- the context was restored on another silo");
        await follower.WaitForLineAsync("IOMMU_DESTROY {size=8, id=1} = 0");

        var monitor = grains.GetGrain<IMonitorGrain>(0);
        await Eventually.TrueAsync(
            async () => (await monitor.OverviewAsync(new OverviewRequest(0))).Silos.Single(silo => silo.Address.Contains($":{leaving.SiloPort}", StringComparison.Ordinal)) is { Answered: false, Status: "Dead" },
            "the silo that was killed is shown as dead");
        var overview = await monitor.OverviewAsync(new OverviewRequest(0));
        Assert.Equal((1L, 1L), (overview.Silos.Sum(silo => silo.Contexts), overview.Silos.Sum(silo => silo.DurableContexts)));
        Assert.Equal(1, overview.Silos.Sum(silo => silo.Ioctls.Where(count => count.Command == (uint)IommuCommand.Destroy).Sum(count => count.Count)));
        await context.CloseAsync();
        await follower.WaitForLineAsync("--- the context is closed");
        Assert.True(await follower.WaitForExitAsync() == 0, follower.Output);
    }
}
