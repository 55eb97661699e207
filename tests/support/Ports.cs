using System.Net;
using System.Net.Sockets;

namespace IommuFd.TestSupport;

// Not from the range that the kernel uses for outgoing connections: in the seconds until a started process listens, a connection could take
// such a port.

/// <summary>Loopback ports for the processes that tests start.</summary>
public static class Ports
{
    private const int First = 12_000, End = 32_000;

    private static readonly HashSet<int> Given = [];

    /// <summary>A port that is free and was not handed out before.</summary>
    public static int Free()
    {
        while (true)
        {
            var port = Random.Shared.Next(First, End);
            lock (Given)
            {
                if (!Given.Add(port))
                {
                    continue;
                }
            }

            using var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
            try
            {
                socket.Bind(new IPEndPoint(IPAddress.Loopback, port));
                return port;
            }
            catch (SocketException)
            {
                // The port is taken.
            }
        }
    }
}
