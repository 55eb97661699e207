using System.Net;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;
using Npgsql;
using Orleans.Configuration;

namespace IommuFd.Silo.Clustering;

internal static class SiloClusteringExtensions
{
    /// <summary>Makes the silo a member of the cluster that the settings name.</summary>
    public static ISiloBuilder AddClustering(this ISiloBuilder silo, SiloSettings settings, IPEndPoint endpoint)
    {
        silo.Configure<ClusterMembershipOptions>(settings.FailureDetection.Apply);
        return settings.Clustering.Provider switch
        {
            ClusteringProvider.Postgres => silo.AddPostgresClustering(settings),
            _ => silo.UseLocalhostClustering(endpoint.Port, settings.GatewayPort, primarySiloEndpoint: endpoint, settings.ServiceId, settings.ClusterId),
        };
    }

    private static ISiloBuilder AddPostgresClustering(this ISiloBuilder silo, SiloSettings settings)
    {
        var clustering = settings.Clustering;
        silo.Services.AddSingleton(_ => new MembershipDatabase(PostgresDatabase.Open(clustering.ConnectionString!, $"iommufd-silo {settings.Address}:{settings.SiloPort}")));
        silo.Services.AddSingleton<ILifecycleParticipant<ISiloLifecycle>>(services => new PostgresMembership(
            clustering, settings.ClusterId, services.GetRequiredService<MembershipDatabase>().Source, services.GetRequiredService<ILogger<PostgresMembership>>()));
        silo.UseAdoNetClustering((OptionsBuilder<AdoNetClusteringSiloOptions> options) => options.Configure<MembershipDatabase>((membership, database) =>
        {
            membership.Invariant = "Npgsql";
            membership.DataSource = database.Source;
        }));

        // When the default directory loses a partition with a silo, the surviving silos deactivate all grains registered in it: with three silos
        // a third of all contexts, even if the silo stops gracefully. The distributed directory hands over or recovers its partitions, and the
        // activations survive. By default it makes the dead silo's grains wait until a silo declared dead by mistake must have noticed. Fencing
        // makes that wait needless: an activation that is not the latest can't write to its journal and so answers nothing.
#pragma warning disable ORLEANSEXP003
        silo.AddDistributedGrainDirectory();
#pragma warning restore ORLEANSEXP003
        silo.Configure<GrainDirectoryOptions>(directory => directory.RangeLeaseDuration = TimeSpan.Zero);

        return silo.Configure<ClusterOptions>(cluster =>
        {
            cluster.ClusterId = settings.ClusterId;
            cluster.ServiceId = settings.ServiceId;
        });
    }

    /// <summary>The membership's connections, separate from the process's other databases; closed with the host.</summary>
    private sealed class MembershipDatabase(NpgsqlDataSource source) : IAsyncDisposable, IDisposable
    {
        public NpgsqlDataSource Source => source;

        public ValueTask DisposeAsync() => source.DisposeAsync();

        public void Dispose() => source.Dispose();
    }
}
