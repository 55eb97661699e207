using System.Data.Common;
using System.Runtime.InteropServices;
using IommuFd.GrainInterfaces;
using IommuFd.Grains.Journaling;
using IommuFd.Silo.Journals;
using Microsoft.Data.Sqlite;

namespace IommuFd.TestSupport;

/// <summary>Journals in a SQLite file in a temporary folder.</summary>
public sealed class SqliteJournalPlace : JournalPlace
{
    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("iommufd-journal-");

    /// <summary>Creates the folder; the first store creates the file.</summary>
    public SqliteJournalPlace()
        => Settings = new JournalSettings { Store = JournalStoreKind.Sqlite, Path = Path.Combine(_folder.FullName, "journal.db") };

    /// <inheritdoc/>
    public override IJournalStore OpenStore(JournalSettings? settings = null) => new SqliteJournalStore(settings ?? Settings);

    /// <inheritdoc/>
    public override string Records => "journal_runs";

    /// <inheritdoc/>
    public override Task AgeReleasedAsync(TimeSpan by)
        => ExecuteAsync("UPDATE journal_contexts SET released_at = released_at - @by", ("by", (long)by.TotalMilliseconds));

    /// <summary>
    /// Opening a store sorts its tail into runs. This splits the runs into rows of one record, which a store can also read.
    /// </summary>
    protected override async Task SortAsync()
    {
        await (await OpenInitializedStoreAsync()).DisposeAsync();
        await using var connection = (SqliteConnection)await ConnectAsync();
        await using var transaction = connection.BeginTransaction();
        var runs = new List<(byte[] Key, long Position, byte[] Frames, byte[] Lengths)>();
        await using (var command = new SqliteCommand("SELECT key, position, frame, lengths FROM journal_runs WHERE lengths IS NOT NULL", connection, transaction))
        await using (var reader = await command.ExecuteReaderAsync())
        {
            while (await reader.ReadAsync())
            {
                runs.Add((reader.GetFieldValue<byte[]>(0), reader.GetInt64(1), reader.GetFieldValue<byte[]>(2), reader.GetFieldValue<byte[]>(3)));
            }
        }

        await using var replace = new SqliteCommand("REPLACE INTO journal_runs (key, position, frame) VALUES (@key, @position, @frame)", connection, transaction);
        foreach (var (key, position, frames, lengths) in runs)
        {
            var offset = 0;
            foreach (var (i, length) in MemoryMarshal.Cast<byte, int>(lengths).ToArray().Index())
            {
                replace.Parameters.Clear();
                replace.Parameters.AddWithValue("key", key);
                replace.Parameters.AddWithValue("position", position + i);
                replace.Parameters.AddWithValue("frame", frames[offset..(offset += length)]);
                await replace.ExecuteNonQueryAsync();
            }
        }

        await transaction.CommitAsync();
    }

    /// <inheritdoc/>
    public override async Task<DbConnection> ConnectAsync()
    {
        var connection = new SqliteConnection(new SqliteConnectionStringBuilder { DataSource = Settings.Path, Pooling = false }.ConnectionString);
        await connection.OpenAsync();
        return connection;
    }

    /// <summary>The file and its companions, with what is free in them.</summary>
    public override async Task<byte[]> DumpAsync()
    {
        // By another process: when this one closes the file, it loses SQLite's locks on it.
        var copies = _folder.CreateSubdirectory("copies");
        await Shell.RunAsync("cp", [.. _folder.GetFiles("journal.db*").Select(file => file.FullName), copies.FullName]);
        return [.. copies.GetFiles().SelectMany(file => File.ReadAllBytes(file.FullName))];
    }

    /// <inheritdoc/>
    public override object Key(ContextKey key) => key.Value.ToByteArray(bigEndian: true);

    /// <inheritdoc/>
    public override ValueTask DisposeAsync()
    {
        _folder.Delete(recursive: true);
        return ValueTask.CompletedTask;
    }
}
