using System.CommandLine;
using System.Net;
using System.Net.Sockets;
using IommuFd.GrainInterfaces;
using IommuFd.Silo;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Orleans.Configuration;

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

    public static Option<string?> GatewayOption { get; } = new("--gateway")
    {
        Description = "ADDRESS:PORT of a running silo's gateway. Without it, a silo runs in this process for as long as the command does.",
    };

    public static Option<string> ClusterOption { get; } = new("--cluster-id") { Description = "The cluster's id.", DefaultValueFactory = _ => "iommufd" };

    public static Option<string> ServiceOption { get; } = new("--service-id") { Description = "The service's id.", DefaultValueFactory = _ => "iommufd" };

    public static Option<bool> DurableOption { get; } = new("--durable")
    {
        Description = "Opens contexts that outlive their silo. Without it, contexts are volatile.",
    };

    /// <summary>The mode that a command's contexts are opened in.</summary>
    public static ContextMode ModeOf(ParseResult options) => options.GetValue(DurableOption) ? ContextMode.Durable : ContextMode.Volatile;

    public static void AddOptions(Command command)
    {
        command.Options.Add(GatewayOption);
        command.Options.Add(ClusterOption);
        command.Options.Add(ServiceOption);
    }

    public static async Task<Connection> OpenAsync(ParseResult options, CancellationToken cancellationToken)
    {
        if (options.GetValue(GatewayOption) is not { } gateway)
        {
            return new Connection(await SiloHost.StartInProcessAsync(cancellationToken: cancellationToken), "a silo in this process");
        }

        if (!IPEndPoint.TryParse(gateway, out var endpoint) || endpoint.Port == 0)
        {
            throw new CliException($"'{gateway}' is no ADDRESS:PORT. A silo prints its own when it starts, for example 127.0.0.1:30000.");
        }

        var builder = Host.CreateEmptyApplicationBuilder(null);
        builder.UseOrleansClient(client => client
            .UseStaticClustering(endpoint)
            .Configure<ClusterOptions>(cluster =>
            {
                cluster.ClusterId = options.GetValue(ClusterOption)!;
                cluster.ServiceId = options.GetValue(ServiceOption)!;
            }));
        var host = builder.Build();
        try
        {
            // Orleans' client keeps trying for longer than a person at a prompt wants to wait.
            using var patience = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
            patience.CancelAfter(ConnectPatience);
            await ProbeAsync(endpoint, patience.Token);
            await host.StartAsync(patience.Token);
        }
        catch (Exception exception) when (!cancellationToken.IsCancellationRequested)
        {
            host.Dispose();
            throw new CliException($"No silo of cluster '{options.GetValue(ClusterOption)}' answers at {endpoint}: {exception.GetBaseException().Message} 'make run' starts one.");
        }

        return new Connection(host, $"the silo at {endpoint}");
    }

    public async ValueTask DisposeAsync()
    {
        await _host.StopAsync();
        _host.Dispose();
    }

    private static async Task ProbeAsync(IPEndPoint endpoint, CancellationToken cancellationToken)
    {
        using var socket = new Socket(endpoint.AddressFamily, SocketType.Stream, ProtocolType.Tcp);
        await socket.ConnectAsync(endpoint, cancellationToken);
    }
}
