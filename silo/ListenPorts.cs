using System.ComponentModel.DataAnnotations;
using System.Net;
using System.Net.Sockets;
using IommuFd.Silo.Dashboard;
using IommuFd.Silo.Gateway;
using Microsoft.Extensions.Hosting;

namespace IommuFd.Silo;

// Orleans opens its ports so that any number of sockets of a user can share one, and the kernel then spreads connections over them: two silos on the
// same port would both start, and each would get some of the other's connections. So a silo claims its ports before Orleans opens them, and of
// two silos that start at once one is refused. A trial bind finds ports that other programs use.

/// <summary>The ports of a silo, claimed for this process until its host is disposed.</summary>
internal sealed class ListenPorts : IHostedService, IDisposable
{
    // Not .NET's ReuseAddress, which also shares the port among processes; this only allows ports whose last connections are in TIME_WAIT.
    private const int SolSocket = 1, SoReuseAddress = 2;

    private readonly List<PortClaim> _claims = [];
    private readonly string? _folder;

    private ListenPorts(string? folder) => _folder = folder;

    /// <summary>Claims a silo's ports. If its port for silos is 0, claims a free one and sets it; if its port for clients is 0, it has none.</summary>
    /// <param name="address">The silo's address.</param>
    /// <param name="settings">The silo's settings.</param>
    /// <param name="dashboard">The dashboard's settings; null without a dashboard.</param>
    /// <param name="gateway">The gateway's settings.</param>
    /// <exception cref="ValidationException">A port is in use. The message names it and says what to do.</exception>
    public static ListenPorts Claim(IPAddress address, SiloSettings settings, DashboardSettings? dashboard, GatewaySettings gateway)
    {
        var ports = new ListenPorts(PortClaim.FolderFor(settings.SecretPath));
        try
        {
            if (settings.SiloPort == 0)
            {
                settings.SiloPort = ports.ClaimFree(address);
            }
            else
            {
                ports.Claim(new IPEndPoint(address, settings.SiloPort), $"{SiloSettings.Section}:{nameof(SiloSettings.SiloPort)}");
            }

            ports.Claim(new IPEndPoint(address, settings.GatewayPort), $"{SiloSettings.Section}:{nameof(SiloSettings.GatewayPort)}");
            if (dashboard is { Enabled: true })
            {
                ports.Claim(new IPEndPoint(IPAddress.Parse(dashboard.Address), dashboard.Port), $"{DashboardSettings.Section}:{nameof(DashboardSettings.Port)}");
            }

            if (gateway.HasPort)
            {
                ports.Claim(gateway.Endpoint, $"{GatewaySettings.Section}:{nameof(GatewaySettings.Listen)}");
            }

            return ports;
        }
        catch
        {
            ports.Dispose();
            throw;
        }
    }

    public Task StartAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public Task StopAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public void Dispose() => _claims.ForEach(claim => claim.Dispose());

    private int ClaimFree(IPAddress address)
    {
        while (true)
        {
            using var socket = new Socket(address.AddressFamily, SocketType.Stream, ProtocolType.Tcp);
            socket.Bind(new IPEndPoint(address, 0));
            if (TryClaim((IPEndPoint)socket.LocalEndPoint!))
            {
                return ((IPEndPoint)socket.LocalEndPoint!).Port;
            }
        }
    }

    private void Claim(IPEndPoint endpoint, string setting)
    {
        if (endpoint.Port == 0)
        {
            return;
        }

        if (!TryClaim(endpoint) || !CanListen(endpoint, setting))
        {
            throw new ValidationException(
                $"{setting} is {endpoint.Port}, but {endpoint} is already in use, perhaps by a silo that still runs. "
                + $"Stop it, or choose other ports: --{SiloSettings.Section}:{nameof(SiloSettings.SiloPort)}=PORT --{SiloSettings.Section}:{nameof(SiloSettings.GatewayPort)}=PORT --{DashboardSettings.Section}:{nameof(DashboardSettings.Port)}=PORT --{GatewaySettings.Section}:{nameof(GatewaySettings.Listen)}=ADDRESS:PORT.");
        }
    }

    private bool TryClaim(IPEndPoint endpoint)
    {
        if (PortClaim.TryTake(_folder, endpoint) is not { } claim)
        {
            return false;
        }

        _claims.Add(claim);
        return true;
    }

    private static bool CanListen(IPEndPoint endpoint, string setting)
    {
        using var socket = new Socket(endpoint.AddressFamily, SocketType.Stream, ProtocolType.Tcp);
        if (OperatingSystem.IsLinux())
        {
            socket.SetRawSocketOption(SolSocket, SoReuseAddress, BitConverter.GetBytes(1));
        }

        try
        {
            socket.Bind(endpoint);
            return true;
        }
        catch (SocketException exception) when (exception.SocketErrorCode == SocketError.AddressAlreadyInUse)
        {
            return false;
        }
        catch (SocketException exception)
        {
            throw new ValidationException($"{setting}: can't listen on {endpoint}: {exception.Message}", exception);
        }
    }
}
