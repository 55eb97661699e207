using System.ComponentModel.DataAnnotations;
using IommuFd.GrainInterfaces;
using IommuFd.GrainInterfaces.Security;
using Microsoft.Extensions.DependencyInjection;
using Orleans.Configuration;

namespace IommuFd.Client;

/// <summary>How an Orleans client connects to silos.</summary>
public static class IommufdClientBuilderExtensions
{
    /// <summary>
    /// Proves on each connection that this program knows the secret of the silo's user, which silos on loopback ask for, and checks that the silo
    /// knows it too. Silos that ask for certificates ask for no secret: there use Orleans' <c>UseTls</c> instead. Messages are bounded as the
    /// silos' are.
    /// </summary>
    /// <param name="client">The client.</param>
    /// <param name="path">
    /// The file with the secret; null for the one that the environment variable <c>IOMMUFD_SECRET_PATH</c> names, and without it for the one of this
    /// user, <c>iommufd/secret</c> in <c>$XDG_STATE_HOME</c> or <c>~/.local/state</c>. It is read for each connection, so it need not be there yet.
    /// </param>
    /// <exception cref="ValidationException">No file is named, and the user has no home.</exception>
    public static IClientBuilder UseIommufdSecret(this IClientBuilder client, string? path = null)
    {
        ArgumentNullException.ThrowIfNull(client);
        var file = SecretFile.PathOf(path);
        return NoteRouteChanges(client)
            .Configure<ClientMessagingOptions>(MessageLimits.Apply)
            .Configure<ClientConnectionOptions>(connections => connections.ConfigureConnection(
                connection => connection.Use(SecretHandshake.Proving(() => SecretFile.Read(file), PortKind.Clients))));
    }

    /// <summary>
    /// Ends the connection to a silo from which nothing comes for 0.75 s, a sign of life that it is asked for included, while another silo gives one. Calls then go by another silo.
    /// Without it they wait until the cluster has declared the silo dead. Comes before Orleans' <c>UseTls</c>.
    /// </summary>
    /// <param name="client">The client.</param>
    public static IClientBuilder LeaveSilentSilos(this IClientBuilder client)
    {
        ArgumentNullException.ThrowIfNull(client);
        if (client.Services.Any(static service => service.ServiceType == typeof(GatewayWatch)))
        {
            return client;
        }

        client.Services.AddSingleton(static services => new GatewayWatch(() => services.GetRequiredService<IGrainFactory>().GetGrain<IPulseGrain>(0).BeatAsync(), TimeProvider.System));
        return NoteRouteChanges(client).Configure<ClientConnectionOptions>(connections => connections.ConfigureConnection(
            connection => connection.Use(connection.ApplicationServices.GetRequiredService<GatewayWatch>().Watch)));
    }

    // Orleans closes the connection to a gateway that the membership no longer has, and counts.
    private static IClientBuilder NoteRouteChanges(IClientBuilder client)
    {
        if (client.Services.Any(static service => service.ServiceType == typeof(RouteChanges)))
        {
            return client;
        }

        var routes = new RouteChanges();
        client.Services.AddSingleton(routes);
        return client.AddGatewayCountChangedHandler((_, change) =>
        {
            if (change.NumberOfConnectedGateways < change.PreviousNumberOfConnectedGateways)
            {
                routes.Note();
            }
        });
    }
}
