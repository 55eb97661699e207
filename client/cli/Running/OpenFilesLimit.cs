using System.Runtime.InteropServices;

namespace IommuFd.Cli.Running;

/// <summary>.NET raises its process's limit of open files. What it starts gets that of who has started this process.</summary>
internal sealed partial class OpenFilesLimit : IDisposable
{
    private const int Resource = 7; // RLIMIT_NOFILE

    private readonly Limit _raised;
    private readonly bool _isLowered;

    private OpenFilesLimit()
    {
        if (Change(0, Resource, 0, out _raised) == 0 && Change(ParentId(), Resource, 0, out var limit) == 0 && limit.Current < _raised.Current)
        {
            limit.Maximum = _raised.Maximum;
            _isLowered = Change(0, Resource, in limit, 0) == 0;
        }
    }

    /// <summary>Lowers this process's limit until the result is disposed.</summary>
    public static OpenFilesLimit Lower() => new();

    public void Dispose()
    {
        if (_isLowered)
        {
            _ = Change(0, Resource, in _raised, 0);
        }
    }

    [LibraryImport("libc", EntryPoint = "getppid")]
    private static partial int ParentId();

    [LibraryImport("libc", EntryPoint = "prlimit")]
    private static partial int Change(int process, int resource, nint none, out Limit old);

    [LibraryImport("libc", EntryPoint = "prlimit")]
    private static partial int Change(int process, int resource, in Limit limit, nint none);

    private struct Limit
    {
        public ulong Current;
        public ulong Maximum;
    }
}
