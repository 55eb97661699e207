using System.CommandLine;
using System.Net;
using IommuFd.Client;
using IommuFd.GrainInterfaces;
using IommuFd.Silo.Clustering;
using IommuFd.Silo.Security;
using Orleans.Configuration;
using Orleans.Connections.Security;

namespace IommuFd.Cli;

// Options name a running service by its gateways, or by the database that holds the cluster's membership. A connection string may contain a password, so it can also
// be given as the name of an environment variable: other users of the machine can read a command line.

/// <summary>The options that say how a command reaches its service.</summary>
internal static class ConnectionOptions
{
    /// <summary>Where 'make run' listens.</summary>
    public const string DefaultSocket = ".state/iommufd.sock";

    /// <summary>The environment variable that names the socket.</summary>
    public const string SocketVariable = "IOMMUFD_SOCKET";

    // The name that silos' certificates share unless Silo:Tls:ServerName says otherwise.
    private const string SilosName = "iommufd";

    private static readonly string[] Schemes = ["tls://", "tcp://"];

    private static readonly Option<string?> SocketOption = new("--socket")
    {
        Description = $"The Unix socket of a running silo's gateway for programs. Without it and the options below: {SocketVariable}, or ./{DefaultSocket} if it is there.",
    };

    private static readonly Option<string[]> GatewayOption = new("--gateway")
    {
        Description = "tls://HOST:PORT of a running silo's gateway for programs by TCP (tcp:// where that is on loopback and unencrypted); or ADDRESS:PORT of its port for Orleans clients, which may be repeated. "
            + "Without a service, the command runs a silo of its own until it ends.",
    };

    private static readonly Option<string?> ClusterOption = new("--cluster")
    {
        Description = "The PostgreSQL database that holds the cluster's membership and so lists its gateways: a connection string, or the name of an environment variable that contains one.",
    };

    private static readonly Option<string> ClusterIdOption = new("--cluster-id") { Description = "The cluster's id.", DefaultValueFactory = _ => "iommufd" };

    private static readonly Option<string> ServiceIdOption = new("--service-id") { Description = "The service's id.", DefaultValueFactory = _ => "iommufd" };

    private static readonly Option<double> ResponseTimeoutOption = Seconds("--response-timeout", "Seconds to wait for the answer to a call.", 30);

    private static readonly Option<double> GatewayRefreshOption = Seconds("--gateway-refresh", "Seconds between two refreshes of the list of gateways.", 2);

    private static readonly Option<bool> NoSecretOption = new("--no-secret") { Description = "The silos ask for no secret: they run with Silo:Secret none." };

    /// <summary>Whether the contexts that a command opens are durable.</summary>
    public static Option<bool> DurableOption { get; } = new("--durable") { Description = "Opens durable contexts, which outlive their silo. Without it, contexts are volatile." };

    /// <summary>Adds the options to a command that opens or inspects contexts.</summary>
    public static void AddTo(Command command)
    {
        foreach (var option in (Option[])
            [
                SocketOption, GatewayOption, ClusterOption, ClusterIdOption, ServiceIdOption, ResponseTimeoutOption, GatewayRefreshOption, NoSecretOption, .. CredentialOptions.All,
            ])
        {
            command.Options.Add(option);
        }
    }

    /// <summary>The mode in which a command opens contexts.</summary>
    public static ContextMode ModeOf(ParseResult options) => options.GetValue(DurableOption) ? ContextMode.Durable : ContextMode.Volatile;

    /// <summary>Whether the options name a running service.</summary>
    public static bool NamesService(ParseResult options) => NamesCluster(options) || AddressOf(options) is not null;

    /// <summary>The path or URL of a silo's gateway for programs; null if the service is named otherwise, or not at all.</summary>
    public static string? AddressOf(ParseResult options)
    {
        if (UrlOf(options) is { } url)
        {
            return options.GetValue(SocketOption) is not null || options.GetValue(ClusterOption) is not null || options.GetValue(GatewayOption)!.Length > 1
                ? throw new CliException($"--gateway {url} can't be combined with --socket, --cluster or another --gateway: each names a service.")
                : url;
        }

        if (options.GetValue(SocketOption) is { } named)
        {
            return NamesCluster(options) ? throw new CliException("--socket can't be combined with --gateway or --cluster: each names a service.") : named;
        }

        var variable = Environment.GetEnvironmentVariable(SocketVariable);
        return NamesCluster(options) ? null
            : !string.IsNullOrEmpty(variable) ? variable
            : File.Exists(DefaultSocket) ? DefaultSocket
            : null;
    }

    /// <summary>The URL of a silo's gateway by TCP; null if the options name none.</summary>
    public static string? UrlOf(ParseResult options)
        => options.GetValue(GatewayOption)?.FirstOrDefault(gateway => Schemes.Any(scheme => gateway.StartsWith(scheme, StringComparison.OrdinalIgnoreCase)));

    /// <summary>The cluster's id.</summary>
    public static string ClusterIdOf(ParseResult options) => options.GetValue(ClusterIdOption)!;

    /// <summary>The gateways that the options name; may be empty.</summary>
    public static IPEndPoint[] GatewaysOf(ParseResult options) => [.. (options.GetValue(GatewayOption) ?? []).Select(gateway => IPEndPoint.TryParse(gateway, out var endpoint) && endpoint.Port != 0
        ? endpoint
        : throw new CliException($"'{gateway}' is not an ADDRESS:PORT. A silo that has a port for Orleans clients (Silo:GatewayPort) prints it when it starts, for example 127.0.0.1:30000."))];

    /// <summary>The connection string of the cluster's database; null if the options name none.</summary>
    public static string? DatabaseOf(ParseResult options)
    {
        if (options.GetValue(ClusterOption) is not { } cluster)
        {
            return null;
        }

        if (GatewaysOf(options).Length > 0)
        {
            throw new CliException("--cluster and --gateway can't be combined: name gateways, or the database that lists them.");
        }

        var isVariable = !cluster.Contains('=', StringComparison.Ordinal);
        var connectionString = isVariable
            ? Environment.GetEnvironmentVariable(cluster) ?? throw new CliException("--cluster names an environment variable that is not set.")
            : cluster;
        return PostgresDatabase.Problem(connectionString) is { } problem ? throw new CliException($"--cluster {problem}.") : connectionString;
    }

    /// <summary>Configures an Orleans client as the options say.</summary>
    public static void Configure(ParseResult options, IClientBuilder client)
    {
        client
            .Configure<ClusterOptions>(cluster => (cluster.ClusterId, cluster.ServiceId) = (ClusterIdOf(options), options.GetValue(ServiceIdOption)!))
            .Configure<ClientMessagingOptions>(messaging => messaging.ResponseTimeout = SecondsOf(options, ResponseTimeoutOption))
            .Configure<GatewayOptions>(gateways => gateways.GatewayListRefreshPeriod = SecondsOf(options, GatewayRefreshOption));
        if (DatabaseOf(options) is { } database)
        {
            PostgresDatabase.ReadPasswordFile();
            client.UseAdoNetClustering((AdoNetClusteringClientOptions membership) => (membership.Invariant, membership.ConnectionString) = ("Npgsql", database));
        }
        else
        {
            client.UseStaticClustering(GatewaysOf(options));
        }

        AddTls(options, client);
        if (NeedsSecret(options))
        {
            client.UseIommufdSecret();
        }
    }

    /// <summary>Whether the silos are to ask for the secret of their user: where no certificate says who this client is.</summary>
    public static bool NeedsSecret(ParseResult options) => !CredentialOptions.HasCertificate(options) && !options.GetValue(NoSecretOption);

    private static bool NamesCluster(ParseResult options) => options.GetValue(GatewayOption) is { Length: > 0 } || options.GetValue(ClusterOption) is not null;

    private static void AddTls(ParseResult options, IClientBuilder client)
    {
        if (!CredentialOptions.UsesTls(options))
        {
            return;
        }

        var (authorities, certificate, name) = (CredentialOptions.AuthoritiesOf(options), CredentialOptions.CertificateOf(options), CredentialOptions.ServerNameOf(options) ?? SilosName);
        client.UseTls(tls =>
        {
            tls.LocalCertificate = certificate;
            tls.ClientCertificateMode = certificate is null ? RemoteCertificateMode.NoCertificate : RemoteCertificateMode.RequireCertificate;
            tls.RemoteCertificateMode = RemoteCertificateMode.RequireCertificate;
            tls.RemoteCertificateValidation = Certificates.Trust(authorities, isServer: true);
            tls.OnAuthenticateAsClient = (_, authentication) => authentication.TargetHost = name;
        });
    }

    private static Option<double> Seconds(string name, string description, double value) => new(name) { Description = description, DefaultValueFactory = _ => value };

    private static TimeSpan SecondsOf(ParseResult options, Option<double> option)
    {
        var seconds = options.GetValue(option);
        return seconds is > 0 and <= 86_400 ? TimeSpan.FromSeconds(seconds) : throw new CliException($"{option.Name} is {seconds}; it must be greater than 0 and at most 86400.");
    }
}
