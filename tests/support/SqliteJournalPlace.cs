using System.Data.Common;
using IommuFd.GrainInterfaces;
using IommuFd.Grains.Journaling;
using IommuFd.Silo.Journals;
using Microsoft.Data.Sqlite;

namespace IommuFd.TestSupport;

/// <summary>Journals in a SQLite file in a temporary folder.</summary>
public sealed class SqliteJournalPlace : JournalPlace
{
    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("iommufd-journal-");

    /// <summary>Makes the folder; the file comes with the first store.</summary>
    public SqliteJournalPlace()
        => Settings = new JournalSettings { Store = JournalStoreKind.Sqlite, Path = Path.Combine(_folder.FullName, "journal.db") };

    /// <inheritdoc/>
    public override IJournalStore OpenStore(JournalSettings? settings = null) => new SqliteJournalStore(settings ?? Settings);

    /// <inheritdoc/>
    public override Task AgeReleasedAsync(TimeSpan by)
        => ExecuteAsync("UPDATE journal_contexts SET released_at = released_at - @by", ("by", (long)by.TotalMilliseconds));

    /// <inheritdoc/>
    public override async Task<DbConnection> ConnectAsync()
    {
        var connection = new SqliteConnection(new SqliteConnectionStringBuilder { DataSource = Settings.Path, Pooling = false }.ConnectionString);
        await connection.OpenAsync();
        return connection;
    }

    /// <inheritdoc/>
    public override object Key(ContextHandle handle) => handle.Value.ToByteArray(bigEndian: true);

    /// <inheritdoc/>
    public override ValueTask DisposeAsync()
    {
        _folder.Delete(recursive: true);
        return ValueTask.CompletedTask;
    }
}
