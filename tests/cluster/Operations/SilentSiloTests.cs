using IommuFd.Client;
using IommuFd.GrainInterfaces;
using IommuFd.Uapi;

namespace IommuFd.ClusterTests.Operations;

/// <summary>A silo that hangs, and that the others do not declare dead: calls that need another one do not wait for it.</summary>
[Collection(PostgresCollection.Name)]
public sealed class SilentSiloTests(PostgresServer server)
{
    // Enough that some of those on the other silo go by the gateway of the one that hangs.
    private const int Contexts = 24;

    [Fact]
    public async Task Contexts_on_other_silos_are_reached_by_another_gateway()
    {
        await using var cluster = await SiloCluster.StartAsync(await server.CreateDatabaseAsync(), 2, "--Silo:FailureDetection:MissedProbes=100", "--Contexts:DefaultMode=volatile");
        var grains = await cluster.ConnectAsync(client => client.LeaveSilentSilos().UseIommufdSecret(TestSecret.Path));
        var client = new IommufdClient(grains);
        var contexts = await Task.WhenAll(Enumerable.Range(0, Contexts).Select(_ => client.OpenAsync()));
        var hung = cluster.Silos[0];
        var page = await grains.GetGrain<IMonitorGrain>(0).ListContextsAsync(new ContextQuery("", ContextOrder.Opener, Descending: false, 0, ContextQuery.MaxLimit));
        var elsewhere = page.Contexts.Where(context => !context.Silo.Contains($":{hung.SiloPort}", StringComparison.Ordinal)).Select(context => context.Tag).ToHashSet();
        var reachable = contexts.Where(context => elsewhere.Contains(context.Handle.Key.Tag)).ToList();
        Assert.True(reachable.Count is > 0 and < Contexts, $"both silos have contexts; {reachable.Count} of {Contexts} are on the one that goes on");

        await hung.Process.SignalAsync("STOP");
        try
        {
            var answers = await Task.WhenAll(reachable.Select(context => context.IoctlAsync((uint)IommuCommand.Destroy, UapiStruct.ToBytes(new IommuDestroy { Size = 8, Id = 1_000 })).AsTask()));
            Assert.All(answers, answer => Assert.Equal(Errno.ENOENT, answer.Errno));
        }
        finally
        {
            await hung.Process.SignalAsync("CONT");
        }
    }
}
