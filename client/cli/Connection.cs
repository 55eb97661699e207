using System.CommandLine;
using System.ComponentModel.DataAnnotations;
using System.Net;
using System.Net.Sockets;
using System.Security.Authentication;
using IommuFd.Client;
using IommuFd.GrainInterfaces;
using IommuFd.GrainInterfaces.Security;
using IommuFd.Silo;
using IommuFd.Silo.Clustering;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;

namespace IommuFd.Cli;

/// <summary>A connection to a service: by a silo's gateway for programs, as a client of a running cluster, or to a silo in this process.</summary>
internal sealed class Connection : IAsyncDisposable
{
    private static readonly TimeSpan ConnectPatience = TimeSpan.FromSeconds(15);

    private readonly IHost? _host;
    private readonly string? _address;
    private readonly GatewayCredentials? _credentials;

    private Connection(IHost host, string target) => (_host, Target) = (host, target);

    private Connection(string address, GatewayCredentials? credentials) => (_address, _credentials, Target) = (address, credentials, $"the silo at {address}");

    /// <summary>The service's grains, which programs can't reach by a gateway.</summary>
    public IGrainFactory Grains => _host?.Services.GetRequiredService<IGrainFactory>() ?? throw new CliException(
        "This command looks at all contexts of the cluster, and the gateway for programs shows none but one's own. It needs a silo's port for Orleans clients, which is off unless asked for: "
        + "start the silo with Silo__GatewayPort=30000 in its environment ('Silo__GatewayPort=30000 make run'), and name the port with --gateway 127.0.0.1:30000; or name the cluster's database with --cluster. "
        + "The dashboard shows the same without it.");

    /// <summary>What it connects to, for people.</summary>
    public string Target { get; }

    public static async Task<Connection> OpenAsync(ParseResult options, CancellationToken cancellationToken)
    {
        if (ConnectionOptions.AddressOf(options) is { } address)
        {
            return new Connection(address, ConnectionOptions.UrlOf(options) is null ? null : CredentialOptions.Of(options));
        }

        var (database, gateways) = (ConnectionOptions.DatabaseOf(options), ConnectionOptions.GatewaysOf(options));
        if (database is null && gateways.Length == 0)
        {
            return new Connection(await SiloHost.StartInProcessAsync(cancellationToken: cancellationToken), "a silo in this process");
        }

        var cluster = $"cluster '{ConnectionOptions.ClusterIdOf(options)}'";
        var (target, failure) = database is null
            ? ($"the silo{(gateways.Length > 1 ? "s" : "")} at {string.Join(", ", gateways.AsEnumerable())}", $"No silo of {cluster} answers at {string.Join(" or ", gateways.AsEnumerable())}")
            : ($"{cluster} in the {PostgresDatabase.Describe(database)}", $"No silo of {cluster} in the {PostgresDatabase.Describe(database)} answers");
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
            await ProbeAsync(gateways, ConnectionOptions.NeedsSecret(options) && !CredentialOptions.UsesTls(options), patience.Token);
            await host.StartAsync(patience.Token);
        }
        catch (Exception exception) when (exception is ValidationException or AuthenticationException)
        {
            host.Dispose();
            throw new CliException(exception.Message);
        }
        catch (Exception exception) when (!cancellationToken.IsCancellationRequested)
        {
            host.Dispose();
            throw new CliException($"{failure}: {exception.GetBaseException().Message} A silo opens that port where Silo:GatewayPort asks for it: 'Silo__GatewayPort={gateways.FirstOrDefault()?.Port ?? 30000} make run' starts one.");
        }

        return new Connection(host, target);
    }

    /// <summary>Makes a client of the service.</summary>
    /// <param name="mode">The mode of contexts that are opened without one; null for the service's default.</param>
    public IommufdClient CreateClient(ContextMode? mode = null)
    {
        var options = new IommufdClientOptions { DefaultMode = mode, Credentials = _credentials };
        try
        {
            return _address is null ? new IommufdClient(Grains, options) : new IommufdClient(_address, options);
        }
        catch (ArgumentException exception)
        {
            throw new CliException(exception.Message);
        }
    }

    public async ValueTask DisposeAsync()
    {
        if (_host is not null)
        {
            await _host.StopAsync();
            _host.Dispose();
        }
    }

    /// <summary>
    /// Connects to the first gateway that accepts; throws the error of the last one if none does. Proves the secret there: Orleans' client would try again
    /// instead of saying what is wrong with it.
    /// </summary>
    private static async Task ProbeAsync(IPEndPoint[] gateways, bool needsSecret, CancellationToken cancellationToken)
    {
        for (var i = 0; i < gateways.Length; i++)
        {
            try
            {
                using var socket = new Socket(gateways[i].AddressFamily, SocketType.Stream, ProtocolType.Tcp);
                await socket.ConnectAsync(gateways[i], cancellationToken);
                if (needsSecret)
                {
                    await using var stream = new NetworkStream(socket);
                    await SecretHandshake.ProveAsync(new StreamPipe(stream), SecretFile.Read(SecretFile.PathOf(null)), PortKind.Clients, cancellationToken);
                }

                return;
            }
            catch (SocketException) when (i < gateways.Length - 1)
            {
                // The next may answer.
            }
        }
    }
}
