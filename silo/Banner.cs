using IommuFd.GrainInterfaces.Security;
using IommuFd.Grains.Configuration;
using IommuFd.Grains.Journaling;
using IommuFd.Silo.Clustering;
using IommuFd.Silo.Dashboard;
using IommuFd.Silo.Gateway;

namespace IommuFd.Silo;

/// <summary>What the server prints once it is up: where it listens, its cluster, and how to reach it. It contains no connection string and no token.</summary>
internal static class Banner
{
    public static string Of(SiloSettings settings, ContextOptions contexts, IJournalStore? journal, DashboardSettings? dashboard, GatewaySettings? gateway) => $"""
        IommuFd.Actors silo is up.
          silos      {settings.Address}:{settings.SiloPort}   cluster '{settings.ClusterId}', service '{settings.ServiceId}'
          clients    {ClientsOf(settings)}
          peers      {PeersOf(settings)}
          cluster    {ClusterOf(settings)}
          contexts   {ModesOf(contexts, journal)}
          dashboard  {DashboardOf(dashboard)}
          programs   {ProgramsOf(gateway)}
        {string.Join(Environment.NewLine, (string[])[.. WaysOf(settings, gateway), "Ctrl-C drains and stops it."])}
        """;

    private static string ClientsOf(SiloSettings settings) => settings.GatewayPort == 0
        ? $"no port for Orleans clients ({SiloSettings.Section}:{nameof(SiloSettings.GatewayPort)} opens one, which 'iommufd top' needs)"
        : $"{settings.Address}:{settings.GatewayPort}";

    private static string PeersOf(SiloSettings settings)
        => settings.Tls.IsMutual ? "show a certificate"
        : settings.AsksForSecret ? $"know the secret in {SecretFile.PathOf(settings.SecretPath)}"
        : $"need to prove nothing ({SiloSettings.Section}:{nameof(SiloSettings.Secret)})";

    private static string ModesOf(ContextOptions contexts, IJournalStore? journal) => journal is null
        ? "volatile: they live in this process and end with it"
        : $"{contexts.DefaultMode.ToString().ToLowerInvariant()} by default; durable ones outlive the silo, in {journal.Description}";

    private static string DashboardOf(DashboardSettings? dashboard) => dashboard is not { Enabled: true }
        ? $"off ({DashboardSettings.Section}:{nameof(DashboardSettings.Enabled)})"
        : $"{dashboard.Url}   {(dashboard.NeedsToken ? "asks for its token" : "needs no token: this machine only")}{(dashboard.HasOperators ? "; operators can act" : "; read-only")}";

    private static string ProgramsOf(GatewaySettings? gateway) => gateway switch
    {
        null => $"none ({GatewaySettings.Section}:{nameof(GatewaySettings.Path)} names no socket, {nameof(GatewaySettings.Listen)} no port)",
        { HasSocket: true, HasPort: true } => $"open /dev/iommu by {gateway.Path}; clients with a token or certificate by {gateway.Url}",
        { HasPort: true } => $"with a token or certificate by {gateway.Url}",
        _ => $"open /dev/iommu by {gateway.Path}",
    };

    private static IEnumerable<string> WaysOf(SiloSettings settings, GatewaySettings? gateway)
    {
        string[] ways =
        [
            .. gateway is { HasSocket: true } ? (string[])[$"  iommufd demo --socket {gateway.Path}", $"  .NET: new IommufdClient(\"{gateway.Path}\")"] : [],
            .. gateway is { HasPort: true } ? (string[])[$"  iommufd demo --gateway {gateway.Url} --token-file FILE"] : [],
            .. settings.GatewayPort != 0 ? (string[])[$"  iommufd demo --gateway {settings.Address}:{settings.GatewayPort}", "  .NET: an Orleans client, see \"From C#\" in README.md"] : [],
        ];
        return ways.Length == 0 ? [] : ["Connect with:", .. ways];
    }

    private static string ClusterOf(SiloSettings settings) => settings.Clustering.Provider == ClusteringProvider.Postgres
        ? $"membership in {PostgresDatabase.Describe(settings.Clustering.ConnectionString!)}"
        : "this silo alone";
}
