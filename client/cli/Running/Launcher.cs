using System.Runtime.InteropServices;

namespace IommuFd.Cli.Running;

/// <summary>Becomes <c>iommufd-run</c>.</summary>
internal static partial class Launcher
{
    /// <summary>The command by which the launcher hands over what needs a process beside the program.</summary>
    public const string HandedOver = "run-supervised";

    private const int BrokenPipe = 13;

    private static readonly string[] Debuggers = ["dotnet-diagnostic", "clr-debug-pipe"];

    /// <summary>Becomes the launcher, where it is built; returns if it is not.</summary>
    /// <param name="arguments">The arguments of <c>iommufd run</c>.</param>
    public static void Become(string[] arguments)
    {
        if (BridgeFiles.Path(BridgeFiles.LauncherName) is { } path)
        {
            // .NET ignores this signal, and what is ignored stays so. Its files for debuggers it removes when it ends, which it does not do here.
            SetDefault(BrokenPipe, 0);
            foreach (var file in Debuggers.SelectMany(name => Directory.EnumerateFiles(Path.GetTempPath(), $"{name}-{Environment.ProcessId}-*")))
            {
                File.Delete(file);
            }

            using var limit = OpenFilesLimit.Lower();
            _ = Execute(path, [path, .. arguments, null]);
        }
    }

    [LibraryImport("libc", EntryPoint = "execv", StringMarshalling = StringMarshalling.Utf8)]
    private static partial int Execute(string path, string?[] arguments);

    [LibraryImport("libc", EntryPoint = "signal")]
    private static partial nint SetDefault(int signal, nint handler);
}
