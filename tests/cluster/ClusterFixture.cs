using System.Net;
using IommuFd.Client;
using IommuFd.Grains.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Orleans.Configuration;
using Orleans.TestingHost;

namespace IommuFd.ClusterTests;

/// <summary>Three silos that talk over real sockets, and clients that each know one of them.</summary>
public class ClusterFixture : IAsyncLifetime
{
    private readonly List<IHost> _clients = [];

    public TestCluster Cluster { get; private set; } = null!;

    public async Task InitializeAsync()
    {
        var builder = new TestClusterBuilder(initialSilosCount: 3);
        builder.Options.ConnectionTransport = ConnectionTransportType.TcpSocket;
        builder.AddSiloBuilderConfigurator<WithContexts>();
        Configure(builder);
        Cluster = builder.Build();
        await Cluster.DeployAsync();
    }

    /// <summary>A client whose only gateway is one silo's.</summary>
    public async Task<IommufdClient> ConnectAsync(SiloHandle silo)
    {
        var builder = Host.CreateEmptyApplicationBuilder(null);
        builder.UseOrleansClient(client => client
            .UseStaticClustering(Gateway(silo))
            .Configure<ClusterOptions>(cluster =>
            {
                cluster.ClusterId = Cluster.Options.ClusterId;
                cluster.ServiceId = Cluster.Options.ServiceId;
            }));
        var host = builder.Build();
        await host.StartAsync();
        _clients.Add(host);
        return new IommufdClient(host.Services.GetRequiredService<IGrainFactory>());
    }

    /// <summary>Starts the command line in another process, as a client of one silo. Silos of a TestCluster ask for no secret.</summary>
    internal ChildProcess StartCommandLine(SiloHandle silo, params string[] arguments)
    {
        var program = ChildProcess.Start("iommufd.dll", [.. arguments, "--gateway", $"{Gateway(silo)}", "--cluster-id", Cluster.Options.ClusterId, "--service-id", Cluster.Options.ServiceId, "--no-secret"]);
        if (arguments.Contains("--keep"))
        {
            // It shows the handle of its context, for people to use.
            program.Watch = null;
        }

        return program;
    }

    public async Task DisposeAsync()
    {
        foreach (var client in _clients)
        {
            await client.StopAsync();
            client.Dispose();
        }

        await Cluster.StopAllSilosAsync();
        await Cluster.DisposeAsync();
        HandleWatch.Shared.ExpectNone();
    }

    /// <summary>Says what is different about its silos.</summary>
    protected virtual void Configure(TestClusterBuilder builder)
    {
    }

    /// <summary>A silo that can have contexts, as a silo process can.</summary>
    private sealed class WithContexts : ISiloConfigurator
    {
        public void Configure(ISiloBuilder siloBuilder)
        {
            siloBuilder.Services.AddContexts(new ContextOptions());
            siloBuilder.ConfigureLogging(HandleWatch.Shared.AddTo);
        }
    }

    private static IPEndPoint Gateway(SiloHandle silo) => silo.GatewayAddress.Endpoint;
}
