using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Orleans.Configuration;

namespace IommuFd.ClusterTests;

/// <summary>Silos as people run them, in processes of their own, whose membership and journals are in a PostgreSQL database; and clients that find them there.</summary>
internal sealed class SiloCluster : IAsyncDisposable
{
    private readonly List<IHost> _clients = [];
    private readonly string _database;
    private readonly string[] _settings;

    private SiloCluster(string database, string[] settings) => (_database, _settings) = (database, settings);

    public List<SiloProcess> Silos { get; } = [];

    /// <summary>Starts silos at the same time.</summary>
    public static async Task<SiloCluster> StartAsync(string database, int silos, params string[] settings)
    {
        var cluster = new SiloCluster(database, settings);
        for (var i = 0; i < silos; i++)
        {
            cluster.StartSilo();
        }

        await Task.WhenAll(cluster.Silos.Select(silo => silo.Process.WaitForLineAsync("Ctrl-C drains and stops it.")));
        return cluster;
    }

    /// <summary>Starts one more, and does not wait for it.</summary>
    public SiloProcess StartSilo(params string[] settings)
    {
        var (siloPort, gatewayPort) = (Ports.Free(), Ports.Free());
        var process = ChildProcess.Start(
            "iommufd-silo.dll",
            [
                "--Silo:Clustering:Provider=postgres", $"--Silo:Clustering:ConnectionString={_database}", $"--Silo:SiloPort={siloPort}", $"--Silo:GatewayPort={gatewayPort}",
                "--Journal:Store=postgres", $"--Journal:ConnectionString={_database}", .. _settings, .. settings,
            ]);
        var silo = new SiloProcess(process, siloPort, gatewayPort);
        Silos.Add(silo);
        return silo;
    }

    /// <summary>A client that takes its gateways from the database.</summary>
    public async Task<IGrainFactory> ConnectAsync(Action<IClientBuilder>? configure = null)
    {
        var builder = Host.CreateEmptyApplicationBuilder(null);
        builder.UseOrleansClient(client =>
        {
            client.UseAdoNetClustering((AdoNetClusteringClientOptions membership) => (membership.Invariant, membership.ConnectionString) = ("Npgsql", _database))
                .Configure<ClusterOptions>(cluster => (cluster.ClusterId, cluster.ServiceId) = ("iommufd", "iommufd"))
                .Configure<GatewayOptions>(gateways => gateways.GatewayListRefreshPeriod = TimeSpan.FromSeconds(1));
            configure?.Invoke(client);
        });
        var host = builder.Build();
        await host.StartAsync();
        _clients.Add(host);
        return host.Services.GetRequiredService<IGrainFactory>();
    }

    public async ValueTask DisposeAsync()
    {
        foreach (var client in _clients)
        {
            await client.StopAsync();
            client.Dispose();
        }

        foreach (var silo in Silos)
        {
            await silo.Process.DisposeAsync();
        }
    }
}

/// <summary>A silo in a process of its own.</summary>
internal sealed record SiloProcess(ChildProcess Process, int SiloPort, int GatewayPort);
