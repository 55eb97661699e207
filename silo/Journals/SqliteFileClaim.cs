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

    /// <summary>Where the claim on a file is.</summary>
    public static string PathOf(string path) => $"{path}-lock";

    /// <summary>Claims a file.</summary>
    /// <param name="path">The file.</param>
    /// <param name="claimant">Who claims it, for people.</param>
    /// <exception cref="JournalStoreException">Another silo has claimed it, or this user may not write there.</exception>
    public static SqliteFileClaim Take(string path, string claimant)
    {
        var owner = $"{path}-owner";
        SqliteFileClaim? claim = null;
        try
        {
            PrivateFile.Create(PathOf(path));
            PrivateFile.Create(owner);
            claim = new SqliteFileClaim(Lock(path, owner));
            File.WriteAllText(owner, claimant);
            return claim;
        }
        catch (Exception exception) when (SqliteErrors.IsStores(exception))
        {
            claim?.Dispose();
            throw SqliteErrors.ToStore(exception, "claim the file", $"SQLite file {path}", default);
        }
    }

    public void Dispose() => _file.Dispose();

    private static FileStream Lock(string path, string owner)
    {
        try
        {
            return new FileStream(PathOf(path), FileMode.Open, FileAccess.ReadWrite, FileShare.None);
        }
        catch (IOException exception) when (exception is not (DirectoryNotFoundException or FileNotFoundException))
        {
            throw new JournalStoreException(
                $"SQLite file {path} is in use by {HolderOf(owner)}. Stop that silo, or give this one a file of its own (Journal:Path). Silos of one cluster may share a file (Journal:Exclusive=false).",
                exception);
        }
    }

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
