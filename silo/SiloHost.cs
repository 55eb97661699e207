using System.ComponentModel.DataAnnotations;
using System.Net;
using IommuFd.GrainInterfaces;
using IommuFd.Grains.Configuration;
using IommuFd.Silo.Clustering;
using IommuFd.Silo.Dashboard;
using IommuFd.Silo.Gateway;
using IommuFd.Silo.Journals;
using IommuFd.Silo.Security;
using IommuFd.Silo.Telemetry;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Orleans.Configuration;

namespace IommuFd.Silo;

// One place builds the silo for every host: the server process, the command line's demo, or a test. Orleans finds the grains by the project
// reference; nothing here names one.

/// <summary>Builds and starts silos.</summary>
public static class SiloHost
{
    /// <summary>Builds the server process: configuration from appsettings.json, the environment and the arguments.</summary>
    /// <param name="args">The arguments.</param>
    /// <param name="configure">Further configuration of the silo.</param>
    public static (IHost Host, SiloSettings Settings) Build(string[] args, Action<ISiloBuilder>? configure = null)
    {
        var builder = CreateBuilder(args);
        var settings = ReadSettings(builder.Configuration);
        var journal = JournalSettings.Read(builder.Configuration);
        var contexts = new ContextOptions { DefaultMode = journal.Store == JournalStoreKind.None ? ContextMode.Volatile : ContextMode.Durable };
        Bind(builder.Configuration, ContextOptions.Section, contexts);
        SettingsValidation.Validate(contexts, ContextOptions.Section);
        var dashboard = ReadDashboard(builder.Configuration);
        var telemetry = new TelemetrySettings();
        Bind(builder.Configuration, TelemetrySettings.Section, telemetry);
        var gateway = new GatewaySettings();
        Bind(builder.Configuration, GatewaySettings.Section, gateway);
        Configure(builder, settings, contexts, journal, telemetry, dashboard, gateway, ConnectionSecurity.SecretOf);
        if (configure is not null)
        {
            builder.UseOrleans(configure);
        }

        return (builder.Build(), settings);
    }

    /// <summary>Starts a silo inside this process, without a port for clients: callers use the host's <see cref="IGrainFactory"/>.</summary>
    /// <param name="configure">Further configuration of the silo.</param>
    /// <param name="contexts">The options of its contexts; null for the defaults, which make contexts volatile unless the opener asks otherwise.</param>
    /// <param name="journal">Where it stores journals; null for no journal.</param>
    /// <param name="dashboard">Its dashboard; null for none.</param>
    /// <param name="gateway">Its gateway for programs outside .NET; null for none.</param>
    /// <param name="cancellationToken">Cancels the start.</param>
    public static async Task<IHost> StartInProcessAsync(
        Action<ISiloBuilder>? configure = null, ContextOptions? contexts = null, JournalSettings? journal = null, DashboardSettings? dashboard = null, GatewaySettings? gateway = null,
        CancellationToken cancellationToken = default)
    {
        var builder = Host.CreateEmptyApplicationBuilder(null);

        // Orleans' advice is for servers, so only its errors are logged here; all other warnings are for the user of this process.
        builder.Logging.AddConsole().SetMinimumLevel(LogLevel.Warning).AddFilter("Orleans", LogLevel.Error);
        Configure(
            builder, new SiloSettings { SiloPort = 0, GatewayPort = 0, ClusterId = $"in-process-{Environment.ProcessId}" }, contexts ?? new(), journal ?? new(), new TelemetrySettings(), dashboard,
            gateway ?? new(),
            _ => ConnectionSecurity.OwnSecret());
        if (configure is not null)
        {
            builder.UseOrleans(configure);
        }

        var host = builder.Build();
        await host.StartAsync(cancellationToken);
        return host;
    }

    /// <summary>Reads the dashboard's settings as <see cref="Build"/> does, and builds nothing.</summary>
    internal static DashboardSettings ReadDashboard(string[] args)
    {
        var settings = ReadDashboard(CreateBuilder(args).Configuration);
        SettingsValidation.Validate(settings, DashboardSettings.Section);
        return settings;
    }

    private static HostApplicationBuilder CreateBuilder(string[] args)
        => Host.CreateApplicationBuilder(new HostApplicationBuilderSettings { Args = args, ContentRootPath = AppContext.BaseDirectory });

    private static SiloSettings ReadSettings(ConfigurationManager configuration)
    {
        var settings = new SiloSettings();
        Bind(configuration, SiloSettings.Section, settings);
        return settings;
    }

    private static DashboardSettings ReadDashboard(ConfigurationManager configuration)
    {
        var settings = new DashboardSettings();
        Bind(configuration, DashboardSettings.Section, settings);
        return settings;
    }

    // A silo without a cluster knows no other silo: what others have in the same database is not abandoned because it knows nothing of them.
    private static void DecideWhoSharesTheJournal(SiloSettings settings, JournalSettings journal, IPAddress address)
    {
        var isAlone = settings.Clustering.Provider == ClusteringProvider.Localhost;
        journal.Exclusive ??= isAlone;
        if (journal.Cluster.Length == 0)
        {
            journal.Cluster = isAlone && journal.Store == JournalStoreKind.Postgres && settings.SiloPort != 0 ? $"{settings.ClusterId}@{address}:{settings.SiloPort}" : settings.ClusterId;
        }
    }

    private static void Bind(ConfigurationManager configuration, string section, object settings)
    {
        try
        {
            configuration.GetSection(section).Bind(settings);
        }
        catch (InvalidOperationException exception)
        {
            // The binder's message names the setting and the type that it can't be converted to.
            throw new ValidationException(exception.Message, exception);
        }
    }

    private static void Configure(
        HostApplicationBuilder builder, SiloSettings settings, ContextOptions contexts, JournalSettings journal, TelemetrySettings telemetry, DashboardSettings? dashboard,
        GatewaySettings gateway, Func<SiloSettings, byte[]?> secretOf)
    {
        SettingsValidation.Validate(settings, SiloSettings.Section);
        PostgresDatabase.ReadPasswordFile();
        var address = settings.ListenAddress();
        if (dashboard is not null)
        {
            SettingsValidation.Validate(dashboard, DashboardSettings.Section);
        }

        SettingsValidation.Validate(gateway, GatewaySettings.Section);
        DecideWhoSharesTheJournal(settings, journal, address);
        var secret = secretOf(settings);
        var ports = ListenPorts.Claim(address, settings, dashboard, gateway);
        builder.Services.AddHostedService(_ => ports);
        var silo = new IPEndPoint(address, settings.SiloPort);
        builder.Services.Configure<HostOptions>(host => host.ShutdownTimeout = settings.StopTimeout);
        builder.Services.AddContexts(contexts);
        builder.UseOrleans(orleans => orleans
            .AddClustering(settings, silo)
            .AddConnectionSecurity(settings, secret)
            .AddJournal(journal)
            .AddContextMonitoring()
            .Configure<EndpointOptions>(endpoint =>
            {
                endpoint.AdvertisedIPAddress = address;
                endpoint.SiloPort = settings.SiloPort;
                endpoint.GatewayPort = settings.GatewayPort;
                endpoint.SiloListeningEndpoint = silo;
                endpoint.GatewayListeningEndpoint = settings.GatewayPort == 0 ? null : new IPEndPoint(address, settings.GatewayPort);
            }));

        builder.AddTelemetry(settings, telemetry);

        // Added after the silo, so that it starts once grains can be called.
        if (journal.Store != JournalStoreKind.None)
        {
            builder.Services.AddHostedService<OrphanSweeper>();
        }

        DashboardServer.AddTo(builder, dashboard);
        GatewayServer.AddTo(builder, gateway, secret);
    }
}
