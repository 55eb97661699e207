using System.Diagnostics;
using System.Text;
using IommuFd.Grains.Journaling;

namespace IommuFd.Silo.Journals.Files;

// What was committed last is in the log (-wal) until SQLite moves it into the file: at the latest when the last process closes it, which then deletes
// the log. A file whose log was lost otherwise is in an earlier state, and SQLite takes it for a file that was closed. So a word beside the
// file says whether it was. It is written before the first commit and after the last, never in between.
//
//   running   processes have the file open, or had it when they or the machine died: there is a log
//   closing   one of them moves the log into the file; it may be gone already
//   closed    there is no log

/// <summary>Whether a SQLite file was closed with all that was committed to it. Who changes that has the lock of it meanwhile.</summary>
internal sealed class FileState : IDisposable
{
    // Of one length, so that a full disk has room for each.
    private const string Running = "running\n", Closing = "closing\n", Closed = "closed \n";

    // A log has a header once anything was committed.
    private const int LogHeaderBytes = 32;

    private static readonly TimeSpan Pause = TimeSpan.FromMilliseconds(10);

    private readonly string _path;
    private readonly FileStream _file;

    private FileState(string path, FileStream file) => (_path, _file) = (path, file);

    /// <summary>Where the state of a SQLite file is.</summary>
    public static string PathOf(string path) => $"{path}-state";

    /// <summary>Where the log of a SQLite file is.</summary>
    public static string LogOf(string path) => $"{path}-wal";

    /// <summary>Locks the state of a file, and makes it if there is none. Waits for others.</summary>
    /// <exception cref="IOException">Others have it for longer than the patience, or this user may not write there.</exception>
    public static async Task<FileState> LockAsync(string path, TimeSpan patience)
    {
        PrivateFile.Create(PathOf(path));
        for (var began = Stopwatch.GetTimestamp(); ;)
        {
            try
            {
                return new FileState(path, new FileStream(PathOf(path), FileMode.Open, FileAccess.ReadWrite, FileShare.None, bufferSize: 0));
            }
            catch (IOException exception) when (exception is not (FileNotFoundException or DirectoryNotFoundException) && Stopwatch.GetElapsedTime(began) < patience)
            {
                await Task.Delay(Pause);
            }
        }
    }

    /// <summary>Makes sure that the file has its log, if it was not closed.</summary>
    /// <exception cref="JournalStoreException">It has none. It says what to do.</exception>
    public void CheckLog()
    {
        var log = new FileInfo(LogOf(_path));
        if (Read() == Running && File.Exists(_path) && (!log.Exists || log.Length < LogHeaderBytes))
        {
            throw new JournalStoreException(
                $"SQLite file {_path} was not closed when it was last in use, and its log {log.Name}, with what was committed last, is {(log.Exists ? "empty" : "missing")}. "
                + $"Put the log back. To do without it, and to go back to an earlier state of the contexts, or if the file comes from a backup, delete {PathOf(_path)}.");
        }
    }

    /// <summary>The file is open, and its log there: both are on disk before this is.</summary>
    public void SetRunning()
    {
        using (var log = File.OpenHandle(LogOf(_path), FileMode.Open, FileAccess.ReadWrite, FileShare.ReadWrite | FileShare.Delete))
        {
            RandomAccess.FlushToDisk(log);
        }

        Write(Running);
    }

    /// <summary>This process is about to close the file.</summary>
    public void SetClosing() => Write(Closing);

    /// <summary>This process has closed the file; others may have it open.</summary>
    public void SetLeft() => Write(File.Exists(LogOf(_path)) ? Running : Closed);

    public void Dispose() => _file.Dispose();

    private string Read()
    {
        var bytes = new byte[Running.Length];
        return Encoding.ASCII.GetString(bytes, 0, RandomAccess.Read(_file.SafeFileHandle, bytes, 0));
    }

    private void Write(string state)
    {
        RandomAccess.Write(_file.SafeFileHandle, Encoding.ASCII.GetBytes(state), 0);
        RandomAccess.FlushToDisk(_file.SafeFileHandle);
    }
}
