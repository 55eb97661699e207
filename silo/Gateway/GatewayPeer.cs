using System.Globalization;
using System.Net.Sockets;
using System.Runtime.InteropServices;

namespace IommuFd.Silo.Gateway;

/// <summary>Who is at the other end of a connection.</summary>
/// <param name="Identity">Who it is, proved: what quotas count, what handles are bound to and what the log names (<see cref="GatewayIdentity"/>).</param>
/// <param name="User">The user's number; null for one that has come by TCP.</param>
/// <param name="Process">The process that has connected, or for which it has; 0 if it is on another machine.</param>
internal sealed record GatewayPeer(string Identity, int? User, int Process)
{
    private const int MaxNameLength = 15;

    /// <summary>Whether it has come by the Unix socket, and so is a user of this machine.</summary>
    public bool IsLocal => User is not null;

    /// <summary>The peer of a Unix socket, as the kernel says.</summary>
    public static GatewayPeer Of(Socket socket)
    {
        Span<int> credentials = stackalloc int[3];
        socket.GetRawSocketOption(Native.SolSocket, Native.SoPeerCred, MemoryMarshal.AsBytes(credentials));
        return new GatewayPeer(GatewayIdentity.OfUser(credentials[1]), credentials[1], credentials[0]);
    }

    // The silo looks into the memory of processes. What a user's silo may look into is what that user may; root's may look into everything, and so believes
    // only root.

    /// <summary>The peer as one that connects for a program in another process: a process of the same user, or any for root.</summary>
    /// <param name="process">The process; 0, one that has ended or one that is not believed stand for the peer's own.</param>
    public GatewayPeer For(int process)
        => process != 0 && UserOf(process) is { } user && (User == 0 || (user == User && !Environment.IsPrivilegedProcess)) ? this with { Process = process } : this;

    /// <summary>The program's name as people see it: that of the process, and its id.</summary>
    /// <param name="claimed">What the program calls itself, for one that can't be looked at.</param>
    public string Describe(string claimed) => $"{NameOf(Process, claimed)}[{(Process == 0 ? Identity : Process)}]";

    /// <summary>The name of a process as people see it.</summary>
    /// <param name="process">The process; 0 for one on another machine.</param>
    /// <param name="claimed">What stands for a name that can't be looked at.</param>
    public static string NameOf(int process, string claimed = "")
    {
        var name = claimed;
        try
        {
            name = process == 0 ? claimed : File.ReadAllText($"/proc/{process}/comm");
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            // It has ended, or hides itself.
        }

        var shown = new string([.. name.Trim().Where(character => !char.IsControl(character)).Take(MaxNameLength)]);
        return shown.Length == 0 ? "program" : shown;
    }

    private static int? UserOf(int process)
    {
        const string Users = "Uid:";
        try
        {
            var line = File.ReadLines($"/proc/{process}/status").First(line => line.StartsWith(Users, StringComparison.Ordinal));
            return int.Parse(line[Users.Length..].Split('\t', StringSplitOptions.RemoveEmptyEntries)[0], CultureInfo.InvariantCulture);
        }
        catch (IOException)
        {
            return null;
        }
    }
}
