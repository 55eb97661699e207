using System.CommandLine;
using System.ComponentModel.DataAnnotations;
using System.Net;
using System.Net.Sockets;
using IommuFd.Silo;
using IommuFd.Silo.Clustering;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;

namespace IommuFd.Cli;

/// <summary>The way to the grains: a client of a running cluster, or a silo in this process.</summary>
internal sealed class Connection : IAsyncDisposable
{
    private static readonly TimeSpan ConnectPatience = TimeSpan.FromSeconds(15);

    private readonly IHost _host;

    private Connection(IHost host, string target)
    {
        _host = host;
        Target = target;
    }

    public IGrainFactory Grains => _host.Services.GetRequiredService<IGrainFactory>();

    /// <summary>What it leads to, for people.</summary>
    public string Target { get; }

    public static async Task<Connection> OpenAsync(ParseResult options, CancellationToken cancellationToken)
    {
        var (database, gateways) = (ConnectionOptions.DatabaseOf(options), ConnectionOptions.GatewaysOf(options));
        if (database is null && gateways.Length == 0)
        {
            return new Connection(await SiloHost.StartInProcessAsync(cancellationToken: cancellationToken), "a silo in this process");
        }

        var (place, target) = database is null
            ? ($"at {string.Join(" or ", gateways.AsEnumerable())}", $"the silo{(gateways.Length > 1 ? "s" : "")} at {string.Join(", ", gateways.AsEnumerable())}")
            : ($"that the {PostgresDatabase.Describe(database)} knows", $"cluster '{ConnectionOptions.ClusterIdOf(options)}' in the {PostgresDatabase.Describe(database)}");
        var builder = Host.CreateEmptyApplicationBuilder(null);
        try
        {
            builder.UseOrleansClient(client => ConnectionOptions.Configure(options, client));
        }
        catch (ValidationException exception)
        {
            throw new CliException(exception.Message);
        }

        var host = builder.Build();
        try
        {
            // Orleans' client keeps trying for longer than a person at a prompt wants to wait.
            using var patience = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
            patience.CancelAfter(ConnectPatience);
            await ProbeAsync(gateways, patience.Token);
            await host.StartAsync(patience.Token);
        }
        catch (Exception exception) when (!cancellationToken.IsCancellationRequested)
        {
            host.Dispose();
            throw new CliException($"No silo of cluster '{ConnectionOptions.ClusterIdOf(options)}' answers {place}: {exception.GetBaseException().Message} 'make run' starts one.");
        }

        return new Connection(host, target);
    }

    public async ValueTask DisposeAsync()
    {
        await _host.StopAsync();
        _host.Dispose();
    }

    /// <summary>Connects to the first gateway that lets it; throws what the last one said.</summary>
    private static async Task ProbeAsync(IPEndPoint[] gateways, CancellationToken cancellationToken)
    {
        for (var i = 0; i < gateways.Length; i++)
        {
            try
            {
                using var socket = new Socket(gateways[i].AddressFamily, SocketType.Stream, ProtocolType.Tcp);
                await socket.ConnectAsync(gateways[i], cancellationToken);
                return;
            }
            catch (SocketException) when (i < gateways.Length - 1)
            {
                // The next may answer.
            }
        }
    }
}
