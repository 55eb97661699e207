using System.Security.Cryptography;
using IommuFd.GrainInterfaces.Security;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Orleans.Configuration;

namespace IommuFd.Silo.Security;

/// <summary>Whether peers without certificates must know the secret of the silo's user.</summary>
public enum SecretMode
{
    /// <summary>They must.</summary>
    Required,

    /// <summary>They need not: every user of the machine can end the silo, and act on contexts whose handles they know.</summary>
    None,
}

internal static class ConnectionSecurity
{
    /// <summary>The secret of a silo process: its user's. Null if peers prove who they are by certificates, or need not.</summary>
    /// <exception cref="System.ComponentModel.DataAnnotations.ValidationException">The file can't be used.</exception>
    public static byte[]? SecretOf(SiloSettings settings)
        => settings.AsksForSecret ? SecretFile.ReadOrCreate(SecretFile.PathOf(settings.SecretPath)) : null;

    /// <summary>A secret that nobody else knows: of a silo without other silos and without a port for clients.</summary>
    public static byte[] OwnSecret() => RandomNumberGenerator.GetBytes(SecretFile.Length);

    /// <summary>Lets only peers that have proved who they are reach Orleans, and bounds what each can send.</summary>
    public static ISiloBuilder AddConnectionSecurity(this ISiloBuilder silo, SiloSettings settings, byte[]? secret)
    {
        var tls = SiloTls.Load(settings.Tls);
        var silos = new ConnectionGate(PortKind.Silos, tls?.FromSilos, tls is null ? secret : null, settings.MaxConnections);
        var clients = new ConnectionGate(PortKind.Clients, tls?.FromClients, secret, settings.MaxConnections);
        if (secret is null && !settings.Tls.IsMutual)
        {
            silo.Services.AddHostedService<Warning>();
        }

        return silo
            .Configure<SiloMessagingOptions>(MessageLimits.Apply)
            .Configure<SiloConnectionOptions>(connections =>
            {
                connections.ConfigureSiloInboundConnection(silos.Guard);
                connections.ConfigureGatewayInboundConnection(clients.Guard);
                connections.ConfigureSiloOutboundConnection(connection =>
                {
                    if (tls is not null)
                    {
                        connection.UseClientTls(tls.ToSilos);
                    }
                    else if (secret is not null)
                    {
                        connection.Use(SecretHandshake.Proving(() => secret, PortKind.Silos));
                    }
                });
            });
    }

    private sealed class Warning(ILogger<ConnectionGate> logger) : IHostedService
    {
        public Task StartAsync(CancellationToken cancellationToken)
        {
            logger.PeersProveNothing();
            return Task.CompletedTask;
        }

        public Task StopAsync(CancellationToken cancellationToken) => Task.CompletedTask;
    }
}
