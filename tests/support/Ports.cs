using System.Net;
using System.Net.Sockets;

namespace IommuFd.TestSupport;

// Not from the range that the kernel takes ports of outgoing connections from: in the seconds until a process that was started listens, one of those
// could become somebody's.

/// <summary>Ports of loopback for the processes that tests start.</summary>
public static class Ports
{
    private const int First = 12_000, End = 32_000;

    private static readonly HashSet<int> Given = [];

    /// <summary>A port that nobody listens on, and that was not given before.</summary>
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
                // Somebody has it.
            }
        }
    }
}
