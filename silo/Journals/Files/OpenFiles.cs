namespace IommuFd.Silo.Journals.Files;

// A process keeps a file that was deleted, or that another file has replaced, as long as it has it open: SQLite would go on with it, and all that it
// acknowledges would be gone with the process. Without its log (-wal) a file is in an earlier state, and without its index (-shm) two processes
// don't see each other's writes. Looking is cheap, but not as cheap as an answer about nothing: it is done a few times a second, when something is asked.

/// <summary>The files that a store has open, and whether their paths still lead to them. Thread-safe.</summary>
internal sealed class OpenFiles(TimeProvider time)
{
    private static readonly TimeSpan Period = TimeSpan.FromMilliseconds(200);

    private readonly Lock _lock = new();
    private readonly List<(string Path, FileIdentity Identity)> _files = [];
    private long _checked;

    /// <summary>Adds a file that is open, or about to be.</summary>
    /// <exception cref="IOException">It is not there.</exception>
    public void Add(string path)
    {
        lock (_lock)
        {
            if (!_files.Exists(file => file.Path == path))
            {
                _files.Add((path, FileIdentity.Of(path) ?? throw new FileNotFoundException($"'{path}' is gone")));
            }
        }
    }

    /// <summary>Looks whether all are where they were, unless that was seen a moment ago.</summary>
    /// <exception cref="IOException">One is not. It says what to do.</exception>
    public void Check()
    {
        lock (_lock)
        {
            if (_checked == 0 || time.GetElapsedTime(_checked) >= Period)
            {
                CheckNow();
            }
        }
    }

    /// <summary>Looks whether all are where they were.</summary>
    /// <exception cref="IOException">One is not. It says what to do.</exception>
    public void CheckNow()
    {
        lock (_lock)
        {
            // Where one is gone, it is looked for each time, until it is back.
            _checked = 0;
            _files.ForEach(Check);
            _checked = time.GetTimestamp();
        }
    }

    private static void Check((string Path, FileIdentity Identity) file)
    {
        if (FileIdentity.Of(file.Path) is not { } there)
        {
            throw new IOException($"'{file.Path}' was deleted while the silo runs. Nothing is answered until that very file is back, or the silo starts anew");
        }

        if (!there.IsSame(file.Identity))
        {
            throw new IOException($"'{file.Path}' was replaced by another file while the silo runs. Nothing is answered until the silo's own file is back, or the silo starts anew");
        }
    }
}
