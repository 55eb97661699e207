using System.Data.Common;
using IommuFd.GrainInterfaces;
using IommuFd.Grains.Journaling;
using IommuFd.Silo.Journals;
using Npgsql;

namespace IommuFd.TestSupport;

/// <summary>Journals in their own schema on a test's server.</summary>
public sealed class PostgresJournalPlace : JournalPlace
{
    private PostgresJournalPlace(string connectionString)
        => Settings = new JournalSettings { Store = JournalStoreKind.Postgres, ConnectionString = connectionString };

    /// <summary>Creates the schema.</summary>
    public static async Task<PostgresJournalPlace> CreateAsync(PostgresServer server) => new(await server.CreateSchemaAsync());

    /// <inheritdoc/>
    public override IJournalStore OpenStore(JournalSettings? settings = null) => new PostgresJournalStore(settings ?? Settings);

    /// <inheritdoc/>
    public override Task AgeReleasedAsync(TimeSpan by) => ExecuteAsync("UPDATE journal_contexts SET released_at = released_at - @by", ("by", by));

    /// <inheritdoc/>
    public override async Task<DbConnection> ConnectAsync()
    {
        var connection = new NpgsqlConnection(Settings.ConnectionString + ";Pooling=false");
        await connection.OpenAsync();
        return connection;
    }

    /// <summary>The rows of all tables of the schema, in PostgreSQL's binary format.</summary>
    public override async Task<byte[]> DumpAsync()
    {
        await using var connection = (NpgsqlConnection)await ConnectAsync();
        var tables = new List<string>();
        await using (var command = new NpgsqlCommand("SELECT quote_ident(tablename) FROM pg_tables WHERE schemaname = current_schema()", connection))
        await using (var reader = await command.ExecuteReaderAsync())
        {
            while (await reader.ReadAsync())
            {
                tables.Add(reader.GetString(0));
            }
        }

        using var dump = new MemoryStream();
        foreach (var table in tables)
        {
            await using var rows = await connection.BeginRawBinaryCopyAsync($"COPY {table} TO STDOUT (FORMAT BINARY)");
            await rows.CopyToAsync(dump);
        }

        return dump.ToArray();
    }

    /// <inheritdoc/>
    public override object Key(ContextKey key) => key.Value;

    /// <summary>The schema goes with its server.</summary>
    public override ValueTask DisposeAsync() => ValueTask.CompletedTask;
}
