namespace IommuFd.TestSupport;

// A file system in memory, mounted where only processes that enter its namespace see it. A process that waits for the end of its input holds
// the namespace, so that nothing is left of it when the tests end, for whatever reason. Who is not root needs a namespace of users to mount.

/// <summary>A disk of a few MiB that a test can fill, and processes that have it.</summary>
internal sealed class SmallDisk : IAsyncDisposable
{
    private readonly ChildProcess _holder;
    private readonly DirectoryInfo _mountPoint;

    private SmallDisk(ChildProcess holder, DirectoryInfo mountPoint) => (_holder, _mountPoint) = (holder, mountPoint);

    /// <summary>Its folder, as its processes see it.</summary>
    public string Folder => _mountPoint.FullName;

    // The same as other processes see it.
    private string Filling => $"/proc/{_holder.Id}/root{Folder}/filling";

    /// <summary>Makes one. Where that is not allowed, it fails with what the system says.</summary>
    public static async Task<SmallDisk> MountAsync(int megabytes)
    {
        var mountPoint = Directory.CreateTempSubdirectory("iommufd-disk-");
        string[] users = Environment.IsPrivilegedProcess ? [] : ["--user", "--map-root-user"];
        var disk = new SmallDisk(
            ChildProcess.StartCommand(
                [], "unshare", [.. users, "--mount", "sh", "-c", """mount -t tmpfs -o "size=$1m" tmpfs "$2" && echo mounted && exec cat""", "sh", $"{megabytes}", mountPoint.FullName]),
            mountPoint);
        await disk._holder.WaitForLineAsync("mounted");
        return disk;
    }

    /// <summary>Starts a program that has the disk.</summary>
    public ChildProcess Start(string program, params string[] arguments)
    {
        string[] users = Environment.IsPrivilegedProcess ? [] : ["--user", "--preserve-credentials"];
        return ChildProcess.StartCommand([], "nsenter", ["--target", $"{_holder.Id}", .. users, "--mount", "dotnet", Path.Combine(AppContext.BaseDirectory, program), .. arguments]);
    }

    /// <summary>Leaves no byte free.</summary>
    public void Fill()
    {
        // A buffer would fail to be written once more when the file is closed.
        using var filling = new FileStream(Filling, FileMode.Append, FileAccess.Write, FileShare.None, bufferSize: 0);
        var page = new byte[4096];
        while (true)
        {
            try
            {
                filling.Write(page);
            }
            catch (IOException full) when (full.Message.StartsWith("No space left", StringComparison.Ordinal))
            {
                return;
            }
        }
    }

    /// <summary>Frees what was filled.</summary>
    public void Free() => File.Delete(Filling);

    public async ValueTask DisposeAsync()
    {
        await _holder.DisposeAsync();
        _mountPoint.Delete();
    }
}
