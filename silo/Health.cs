using System.Net;
using System.Net.Sockets;

namespace IommuFd.Silo;

// For container images, which have no curl and need none: the same program, with the same configuration, checks whether the silo so configured
// lets clients connect. It joins no cluster, and costs a process for a moment.

/// <summary><c>iommufd-silo --health</c>: checks whether the silo of this configuration lets clients connect.</summary>
internal static class Health
{
    public const string Argument = "--health";

    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(3);

    /// <summary>Connects to the port for clients, or, if there is none, to the port for silos. Returns 0 if healthy, else 1.</summary>
    public static async Task<int> CheckAsync(SiloSettings settings)
    {
        var endpoint = new IPEndPoint(settings.ResolveAddress(), settings.GatewayPort == 0 ? settings.SiloPort : settings.GatewayPort);
        using var socket = new Socket(endpoint.AddressFamily, SocketType.Stream, ProtocolType.Tcp);
        using var patience = new CancellationTokenSource(Patience);
        try
        {
            await socket.ConnectAsync(endpoint, patience.Token);
            Console.WriteLine($"healthy: {endpoint} answers");
            return 0;
        }
        catch (Exception exception) when (exception is SocketException or OperationCanceledException)
        {
            Console.Error.WriteLine($"unhealthy: {endpoint} does not answer: {exception.Message}");
            return 1;
        }
    }
}
