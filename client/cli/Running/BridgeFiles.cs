using System.Net.Sockets;

namespace IommuFd.Cli.Running;

/// <summary>The files that <c>make bridge</c> builds.</summary>
/// <param name="Bridge">The library that is loaded into programs.</param>
/// <param name="Launcher">What starts programs with it.</param>
internal sealed record BridgeFiles(string Bridge, string Launcher)
{
    public const string Library = "libiommufd-bridge.so";

    public const string LauncherName = "iommufd-run";

    // Beside this command where it is installed, else where the repository builds it.
    private static readonly string[] Folders = [AppContext.BaseDirectory, System.IO.Path.GetFullPath("../../../bridge", AppContext.BaseDirectory)];

    /// <summary>Finds them.</summary>
    /// <param name="bridge">The library that the user has named, if any.</param>
    /// <exception cref="CliException">One is missing.</exception>
    public static BridgeFiles Find(string? bridge) => new(bridge is null ? Built(Library) : Existing(System.IO.Path.GetFullPath(bridge)), Built(LauncherName));

    /// <summary>Whether a silo answers at a Unix socket.</summary>
    public static bool Answers(string socket)
    {
        try
        {
            using var probe = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
            probe.Connect(new UnixDomainSocketEndPoint(socket));
            return true;
        }
        catch (SocketException)
        {
            return false;
        }
    }

    /// <summary>Where a file is; null if it is not built.</summary>
    public static string? Path(string name) => Folders.Select(folder => System.IO.Path.Combine(folder, name)).FirstOrDefault(File.Exists);

    private static string Built(string name) => Path(name) ?? throw new CliException($"{name} is neither in {string.Join(" nor in ", Folders)}: 'make bridge' builds it.");

    private static string Existing(string path) => File.Exists(path) ? path : throw new CliException($"There is no file '{path}': 'make bridge' builds the bridge.");
}
