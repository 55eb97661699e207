namespace IommuFd.TestSupport;

// A file system in memory, mounted where only processes that enter its namespace see it. A process that waits for the end of its input holds
// the namespace, so that nothing is left of it when the tests end, for whatever reason. Who is not root needs a namespace of users to mount.

/// <summary>A small disk that a test can fill, and processes that have it.</summary>
internal sealed class SmallDisk : IAsyncDisposable
{
    private readonly ChildProcess _holder;
    private readonly DirectoryInfo _mountPoint;

    private SmallDisk(ChildProcess holder, DirectoryInfo mountPoint) => (_holder, _mountPoint) = (holder, mountPoint);

    /// <summary>Its folder, as its processes see it.</summary>
    public string Folder => _mountPoint.FullName;

    /// <summary>A command's first words that have it run with the disk.</summary>
    public string[] Entering => ["nsenter", "--target", $"{_holder.Id}", .. Environment.IsPrivilegedProcess ? (string[])[] : ["--user", "--preserve-credentials"], "--mount"];

    private string Filling => SeenFromOutside(Path.Combine(Folder, "filling"));

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
        => ChildProcess.StartCommand([], Entering[0], [.. Entering[1..], "dotnet", Path.Combine(AppContext.BaseDirectory, program), .. arguments]);

    /// <summary>The path of one of its files for processes that do not have it.</summary>
    public string SeenFromOutside(string path) => $"/proc/{_holder.Id}/root{path}";

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
