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

    /// <inheritdoc/>
    public override object Key(ContextKey key) => key.Value;

    /// <summary>The schema goes with its server.</summary>
    public override ValueTask DisposeAsync() => ValueTask.CompletedTask;
}
