using IommuFd.Client;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Orleans.Configuration;

namespace IommuFd.TestSupport;

/// <summary>
/// Silos as in production: each in its own process, with membership and journals in a PostgreSQL database, and clients that find them there.
/// </summary>
public sealed class SiloCluster : IAsyncDisposable
{
    /// <summary>The id of a cluster that is given no other.</summary>
    public const string DefaultCluster = "iommufd";

    private readonly List<IHost> _clients = [];
    private readonly string _database;
    private readonly string[] _settings;

    private SiloCluster(string database, string[] settings) => (_database, _settings) = (database, settings);

    public List<SiloProcess> Silos { get; } = [];

    /// <summary>The cluster's id.</summary>
    public string Id { get; init; } = DefaultCluster;

    /// <summary>The silo's program, with the arguments that make it run a silo.</summary>
    public string[] Program { get; init; } = ["iommufd-silo.dll"];

    /// <summary>Settings that a silo has for itself, by its port.</summary>
    public Func<int, string[]> SettingsOf { get; init; } = static _ => [];

    /// <summary>Reads at the end of each silo what it has printed; null where the caller reads it.</summary>
    public HandleWatch? Watch { get; init; } = HandleWatch.Shared;

    /// <summary>Starts silos concurrently.</summary>
    public static Task<SiloCluster> StartAsync(string database, int silos, params string[] settings) => new SiloCluster(database, settings).StartAsync(silos);

    /// <summary>A cluster without silos. The caller reads what they print.</summary>
    public static SiloCluster Create(string cluster, string database, string[] program, Func<int, string[]> settingsOf, params string[] settings)
        => new(database, settings) { Id = cluster, Program = program, SettingsOf = settingsOf, Watch = null };

    /// <summary>Starts silos concurrently, and waits until they are up.</summary>
    public async Task<SiloCluster> StartAsync(int silos)
    {
        for (var i = 0; i < silos; i++)
        {
            StartSilo();
        }

        await Task.WhenAll(Silos.Select(silo => silo.IsUpAsync()));
        return this;
    }

    /// <summary>Starts another silo without waiting for it.</summary>
    public SiloProcess StartSilo(params string[] settings) => StartSilo(Ports.Free(), Ports.Free(), settings);

    /// <summary>Restarts a silo that has exited, on the same ports, without waiting for it.</summary>
    public SiloProcess Restart(SiloProcess ended) => StartSilo(ended.SiloPort, ended.GatewayPort);

    private SiloProcess StartSilo(int siloPort, int gatewayPort, params string[] settings)
    {
        var process = ChildProcess.Start(
            Program[0],
            [
                .. Program[1..], "--Silo:Clustering:Provider=postgres", $"--Silo:ClusterId={Id}", $"--Silo:Clustering:ConnectionString={_database}", $"--Silo:SiloPort={siloPort}", $"--Silo:GatewayPort={gatewayPort}",
                "--Journal:Store=postgres", $"--Journal:ConnectionString={_database}", .. _settings, .. SettingsOf(siloPort), .. settings,
            ]);
        process.Watch = Watch;
        var silo = new SiloProcess(process, siloPort, gatewayPort);
        lock (Silos)
        {
            Silos.Add(silo);
        }

        return silo;
    }

    /// <summary>A client that finds its gateways in the database, and knows the silos' secret unless it says how else it proves who it is.</summary>
    public async Task<IGrainFactory> ConnectAsync(Action<IClientBuilder>? configure = null)
    {
        var host = await StartClientAsync(_database, configure, Id);
        _clients.Add(host);
        return host.Services.GetRequiredService<IGrainFactory>();
    }

    /// <summary>The same in a cluster's database. It is started, and the caller stops it.</summary>
    public static async Task<IHost> StartClientAsync(string database, Action<IClientBuilder>? configure = null, string cluster = DefaultCluster)
    {
        var builder = Host.CreateEmptyApplicationBuilder(null);
        builder.UseOrleansClient(client =>
        {
            client.UseAdoNetClustering((AdoNetClusteringClientOptions membership) => (membership.Invariant, membership.ConnectionString) = ("Npgsql", database))
                .Configure<ClusterOptions>(options => (options.ClusterId, options.ServiceId) = (cluster, DefaultCluster))
                .Configure<GatewayOptions>(gateways => gateways.GatewayListRefreshPeriod = TimeSpan.FromSeconds(1));
            (configure ?? KnowTheSecret)(client);
        });
        var host = builder.Build();
        await host.StartAsync();
        return host;
    }

    private static void KnowTheSecret(IClientBuilder client) => client.UseIommufdSecret(TestSecret.Path);

    public async ValueTask DisposeAsync()
    {
        foreach (var client in _clients)
        {
            await client.StopAsync();
            client.Dispose();
        }

        // All of them end, also where one has printed what it must not.
        await Task.WhenAll(Silos.Select(silo => silo.Process.DisposeAsync().AsTask()));
    }
}

/// <summary>A silo in its own process.</summary>
public sealed record SiloProcess(ChildProcess Process, int SiloPort, int GatewayPort)
{
    /// <summary>Waits until it is up.</summary>
    public Task IsUpAsync() => Process.WaitForLineAsync("Ctrl-C drains and stops it.");
}
