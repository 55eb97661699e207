using System.Net.Sockets;
using System.Runtime.InteropServices;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Connections.Features;

namespace IommuFd.Silo.Gateway;

/// <summary>Who is at the other end of a connection.</summary>
/// <param name="Identity">The user, proved: what quotas count and what the log names.</param>
/// <param name="Process">The process that has connected; 0 if it is on another machine.</param>
internal sealed record GatewayPeer(string Identity, int Process)
{
    private const int SolSocket = 1, SoPeerCred = 17;

    private const int MaxNameLength = 15;

    /// <summary>The peer of a Unix socket, as the kernel says.</summary>
    public static GatewayPeer Of(ConnectionContext connection)
    {
        Span<int> credentials = stackalloc int[3];
        SocketOf(connection).GetRawSocketOption(SolSocket, SoPeerCred, MemoryMarshal.AsBytes(credentials));
        return new GatewayPeer($"user {credentials[1]}", credentials[0]);
    }

    /// <summary>The socket of a connection.</summary>
    public static Socket SocketOf(ConnectionContext connection) => connection.Features.Get<IConnectionSocketFeature>()!.Socket;

    /// <summary>The program's name as people see it: that of the process, and its id.</summary>
    /// <param name="claimed">What the program calls itself, for one that can't be looked at.</param>
    public string Describe(string claimed)
    {
        var name = claimed;
        try
        {
            name = Process == 0 ? claimed : File.ReadAllText($"/proc/{Process}/comm");
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            // It has ended, or hides itself.
        }

        var shown = new string([.. name.Trim().Where(character => !char.IsControl(character)).Take(MaxNameLength)]);
        return $"{(shown.Length == 0 ? "program" : shown)}[{(Process == 0 ? Identity : Process)}]";
    }
}
