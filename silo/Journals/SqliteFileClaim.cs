using System.Text;
using IommuFd.Grains.Journaling;

namespace IommuFd.Silo.Journals;

// Silos that know each other order their writes by SQLite's lock and by epochs. Two that don't would each take the other's contexts for abandoned
// ones. So a silo without a cluster claims its file. The claim is a lock of the operating system on a file beside it, which ends with the process;
// another file, which can be read meanwhile, names the silo. Both are this user's alone, or another user could hold the lock.

/// <summary>A claim on a SQLite file, for one silo.</summary>
internal sealed class SqliteFileClaim : IDisposable
{
    private readonly FileStream _file;

    private SqliteFileClaim(FileStream file) => _file = file;

    /// <summary>Claims a file.</summary>
    /// <param name="path">The file.</param>
    /// <param name="claimant">Who claims it, for people.</param>
    /// <exception cref="JournalStoreException">Another silo has claimed it, or this user may not write there.</exception>
    public static SqliteFileClaim Take(string path, string claimant)
    {
        var owner = $"{path}-owner";
        try
        {
            PrivateFile.Create($"{path}-lock");
            PrivateFile.Create(owner);
            var file = new FileStream($"{path}-lock", FileMode.Open, FileAccess.ReadWrite, FileShare.None);
            File.WriteAllText(owner, claimant);
            return new SqliteFileClaim(file);
        }
        catch (Exception exception) when (exception is UnauthorizedAccessException or DirectoryNotFoundException)
        {
            throw SqliteErrors.ToStore(exception, "claim the file", $"SQLite file {path}", default);
        }
        catch (IOException exception)
        {
            throw new JournalStoreException(
                $"SQLite file {path} is in use by {HolderOf(owner)}. Stop that silo, or give this one a file of its own (Journal:Path). Silos of one cluster may share a file (Journal:Exclusive=false).",
                exception);
        }
    }

    public void Dispose() => _file.Dispose();

    private static string HolderOf(string owner)
    {
        try
        {
            using var file = File.OpenRead(owner);
            var name = new byte[512];
            var length = file.Read(name);
            return length == 0 ? "another silo" : new string([.. Encoding.UTF8.GetString(name, 0, length).Where(character => !char.IsControl(character))]);
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            return "another silo";
        }
    }
}
