using IommuFd.GrainInterfaces.Security;
using IommuFd.Grains.Configuration;
using IommuFd.Grains.Journaling;
using IommuFd.Silo.Clustering;
using IommuFd.Silo.Dashboard;
using IommuFd.Silo.Gateway;

namespace IommuFd.Silo;

/// <summary>What the server prints once it is up: where it listens, its cluster, and how to reach it. It contains no connection string.</summary>
internal static class Banner
{
    public static string Of(SiloSettings settings, ContextOptions contexts, IJournalStore? journal, DashboardSettings? dashboard, GatewaySettings? gateway) => $"""
        IommuFd.Actors silo is up.
          silos      {settings.Address}:{settings.SiloPort}
          clients    {settings.Address}:{settings.GatewayPort}   cluster '{settings.ClusterId}', service '{settings.ServiceId}'
          peers      {PeersOf(settings)}
          cluster    {ClusterOf(settings)}
          contexts   {ModesOf(contexts, journal)}
          dashboard  {DashboardOf(dashboard)}
          programs   {ProgramsOf(gateway)}
        Connect with:
          iommufd demo --gateway {settings.Address}:{settings.GatewayPort}
          .NET: an Orleans client, see "From C#" in README.md
        Ctrl-C drains and stops it.
        """;

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

    private static string ProgramsOf(GatewaySettings? gateway) => gateway is null
        ? $"none ({GatewaySettings.Section}:{nameof(GatewaySettings.Path)} names no socket)"
        : $"open /dev/iommu by {gateway.Path}";

    private static string ClusterOf(SiloSettings settings) => settings.Clustering.Provider == ClusteringProvider.Postgres
        ? $"membership in {PostgresDatabase.Describe(settings.Clustering.ConnectionString!)}"
        : "this silo alone";
}
