using System.CommandLine;
using System.Net;
using System.Security.Cryptography.X509Certificates;
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

    private const string TlsPasswordVariable = "IOMMUFD_TLS_PASSWORD";

    private static readonly Option<string?> SocketOption = new("--socket")
    {
        Description = $"The Unix socket of a running silo's gateway for programs. Without it and the options below: {SocketVariable}, or ./{DefaultSocket} if it is there.",
    };

    private static readonly Option<string[]> GatewayOption = new("--gateway")
    {
        Description = "ADDRESS:PORT of a running silo's port for Orleans clients; may be repeated. Without a service, the command runs a silo of its own until it ends.",
    };

    private static readonly Option<string?> ClusterOption = new("--cluster")
    {
        Description = "The PostgreSQL database that holds the cluster's membership and so lists its gateways: a connection string, or the name of an environment variable that contains one.",
    };

    private static readonly Option<string> ClusterIdOption = new("--cluster-id") { Description = "The cluster's id.", DefaultValueFactory = _ => "iommufd" };

    private static readonly Option<string> ServiceIdOption = new("--service-id") { Description = "The service's id.", DefaultValueFactory = _ => "iommufd" };

    private static readonly Option<double> ResponseTimeoutOption = Seconds("--response-timeout", "Seconds to wait for the answer to a call.", 30);

    private static readonly Option<double> GatewayRefreshOption = Seconds("--gateway-refresh", "Seconds between two refreshes of the list of gateways.", 2);

    private static readonly Option<string?> TlsCaOption = new("--tls-ca") { Description = "PEM file with the certificate authority of the silos' certificates. Switches TLS on." };

    private static readonly Option<string?> TlsCertificateOption = new("--tls-certificate")
    {
        Description = $"This client's certificate, as PFX or PEM. Switches TLS on. The environment variable {TlsPasswordVariable} contains its password, if it has one.",
    };

    private static readonly Option<string?> TlsKeyOption = new("--tls-key") { Description = "PEM file with the certificate's private key, if the certificate's file does not contain it." };

    private static readonly Option<string> TlsServerNameOption = new("--tls-server-name") { Description = "The name that the silos' certificates are issued to.", DefaultValueFactory = _ => "iommufd" };

    private static readonly Option<bool> NoSecretOption = new("--no-secret") { Description = "The silos ask for no secret: they run with Silo:Secret none." };

    /// <summary>Whether the contexts that a command opens are durable.</summary>
    public static Option<bool> DurableOption { get; } = new("--durable") { Description = "Opens durable contexts, which outlive their silo. Without it, contexts are volatile." };

    /// <summary>Adds the options to a command that opens or inspects contexts.</summary>
    public static void AddTo(Command command)
    {
        foreach (var option in (Option[])
            [
                SocketOption, GatewayOption, ClusterOption, ClusterIdOption, ServiceIdOption, ResponseTimeoutOption, GatewayRefreshOption,
                TlsCaOption, TlsCertificateOption, TlsKeyOption, TlsServerNameOption, NoSecretOption,
            ])
        {
            command.Options.Add(option);
        }
    }

    /// <summary>The mode in which a command opens contexts.</summary>
    public static ContextMode ModeOf(ParseResult options) => options.GetValue(DurableOption) ? ContextMode.Durable : ContextMode.Volatile;

    /// <summary>Whether the options name a running service.</summary>
    public static bool NamesService(ParseResult options) => NamesCluster(options) || SocketOf(options) is not null;

    /// <summary>The socket of a silo's gateway for programs; null if the service is named otherwise, or not at all.</summary>
    public static string? SocketOf(ParseResult options)
    {
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

    /// <summary>The cluster's id.</summary>
    public static string ClusterIdOf(ParseResult options) => options.GetValue(ClusterIdOption)!;

    /// <summary>The gateways that the options name; may be empty.</summary>
    public static IPEndPoint[] GatewaysOf(ParseResult options) => [.. (options.GetValue(GatewayOption) ?? []).Select(gateway => IPEndPoint.TryParse(gateway, out var endpoint) && endpoint.Port != 0
        ? endpoint
        : throw new CliException($"'{gateway}' is not an ADDRESS:PORT. A silo prints its own when it starts, for example 127.0.0.1:30000."))];

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
    public static bool NeedsSecret(ParseResult options) => options.GetValue(TlsCertificateOption) is null && !options.GetValue(NoSecretOption);

    /// <summary>Whether the options switch TLS on.</summary>
    public static bool UsesTls(ParseResult options) => options.GetValue(TlsCaOption) is not null || options.GetValue(TlsCertificateOption) is not null;

    private static bool NamesCluster(ParseResult options) => options.GetValue(GatewayOption) is { Length: > 0 } || options.GetValue(ClusterOption) is not null;

    private static void AddTls(ParseResult options, IClientBuilder client)
    {
        if (!UsesTls(options))
        {
            return;
        }

        var (ca, certificate) = (options.GetValue(TlsCaOption), options.GetValue(TlsCertificateOption));

        foreach (var path in (string?[])[ca, certificate, options.GetValue(TlsKeyOption)])
        {
            if (path is not null && !File.Exists(path))
            {
                throw new CliException($"There is no file '{path}'.");
            }
        }

        client.UseTls(tls =>
        {
            tls.LocalCertificate = certificate is null ? null : LoadCertificate(certificate, options.GetValue(TlsKeyOption));
            tls.ClientCertificateMode = certificate is null ? RemoteCertificateMode.NoCertificate : RemoteCertificateMode.RequireCertificate;
            tls.RemoteCertificateMode = RemoteCertificateMode.RequireCertificate;
            tls.RemoteCertificateValidation = Certificates.Trust(ca is null ? null : Certificates.LoadAuthorities(ca), isServer: true);
            tls.OnAuthenticateAsClient = (_, authentication) => authentication.TargetHost = options.GetValue(TlsServerNameOption)!;
        });
    }

    private static X509Certificate2 LoadCertificate(string path, string? keyPath) => Certificates.Load(path, keyPath, Environment.GetEnvironmentVariable(TlsPasswordVariable));

    private static Option<double> Seconds(string name, string description, double value) => new(name) { Description = description, DefaultValueFactory = _ => value };

    private static TimeSpan SecondsOf(ParseResult options, Option<double> option)
    {
        var seconds = options.GetValue(option);
        return seconds is > 0 and <= 86_400 ? TimeSpan.FromSeconds(seconds) : throw new CliException($"{option.Name} is {seconds}; it must be greater than 0 and at most 86400.");
    }
}
