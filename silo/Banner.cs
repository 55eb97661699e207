using IommuFd.Grains.Configuration;
using IommuFd.Grains.Journaling;
using IommuFd.Silo.Clustering;
using IommuFd.Silo.Dashboard;

namespace IommuFd.Silo;

/// <summary>What the server prints when it is up: where it listens, what it belongs to, how to reach it. No connection string is in it.</summary>
internal static class Banner
{
    public static string Of(SiloSettings settings, ContextOptions contexts, IJournalStore? journal, DashboardSettings? dashboard) => $"""
        IommuFd.Actors silo is up.
          silos    {settings.Address}:{settings.SiloPort}
          clients  {settings.Address}:{settings.GatewayPort}   cluster '{settings.ClusterId}', service '{settings.ServiceId}'
          cluster  {ClusterOf(settings)}
          contexts {ModesOf(contexts, journal)}
          look at  {DashboardOf(dashboard)}
        Reach it:
          iommufd demo --gateway {settings.Address}:{settings.GatewayPort}
          .NET: new ClientBuilder with UseStaticClustering(new IPEndPoint({settings.Address}, {settings.GatewayPort})), see README.md
        Ctrl-C drains and stops it.
        """;

    private static string ModesOf(ContextOptions contexts, IJournalStore? journal) => journal is null
        ? "are volatile: they live in this process and end with it"
        : $"are {contexts.DefaultMode.ToString().ToLowerInvariant()} unless asked otherwise; durable ones outlive the silo, in {journal.Description}";

    private static string DashboardOf(DashboardSettings? dashboard) => dashboard is not { Enabled: true }
        ? $"no dashboard ({DashboardSettings.Section}:{nameof(DashboardSettings.Enabled)})"
        : $"{dashboard.Url}   {(dashboard.NeedsToken ? "its token is asked for" : "no token is needed, it is for this machine only")}{(dashboard.HasOperators ? "; operators can act" : "; it is read-only")}";

    private static string ClusterOf(SiloSettings settings) => settings.Clustering.Provider == ClusteringProvider.Postgres
        ? $"members are in the {PostgresDatabase.Describe(settings.Clustering.ConnectionString!)}"
        : "this silo alone";
}
