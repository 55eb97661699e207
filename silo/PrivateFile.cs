namespace IommuFd.Silo;

// SQLite would create its file readable for all users; its companions (-wal, -shm) inherit its permissions. A lock that another user can hold is no claim.

/// <summary>Files that are this user's alone.</summary>
internal static class PrivateFile
{
    // One thread at a time: closing a file drops all locks that this process has on it, so no other thread may open it as a database while it is open here.
    private static readonly Lock Creating = new();

    /// <summary>Creates a folder, unless it is there.</summary>
    public static void CreateFolder(string path)
    {
        if (OperatingSystem.IsWindows())
        {
            Directory.CreateDirectory(path);
        }
        else
        {
            Directory.CreateDirectory(path, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
        }
    }

    /// <summary>Creates a file, with its folder, unless it is there.</summary>
    public static void Create(string path)
    {
        lock (Creating)
        {
            if (File.Exists(path))
            {
                return;
            }

            if (Path.GetDirectoryName(Path.GetFullPath(path)) is { } folder)
            {
                Directory.CreateDirectory(folder);
            }

            var options = new FileStreamOptions { Mode = FileMode.CreateNew, Access = FileAccess.Write };
            if (!OperatingSystem.IsWindows())
            {
                options.UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite;
            }

            try
            {
                File.Open(path, options).Dispose();
            }
            catch (IOException) when (File.Exists(path))
            {
                // Another process was first.
            }
        }
    }
}
