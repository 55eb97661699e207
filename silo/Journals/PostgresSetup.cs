using IommuFd.Silo.Clustering;
using Npgsql;

namespace IommuFd.Silo.Journals;

/// <summary>Makes a PostgreSQL store's tables, or brings them up to date, with rights that a running silo need not have.</summary>
internal static class PostgresSetup
{
    // "iommufdJ": any number will do that no other program uses.
    private const long Lock = 0x696F6D6D7566644A;

    /// <summary>Whether there is nothing to do. Needs to read the version only.</summary>
    /// <exception cref="IommuFd.Grains.Journaling.JournalStoreException">The tables are of a version that this one does not know.</exception>
    public static async Task<bool> IsDoneAsync(NpgsqlConnection connection, string store, CancellationToken cancellationToken)
        => await ScalarAsync(connection, "SELECT to_regclass('journal_schema') IS NOT NULL", cancellationToken) is true
            && await VersionAsync(connection, store, cancellationToken) == PostgresSchema.Migrations.Length;

    /// <summary>Makes what is missing, in one transaction.</summary>
    /// <param name="connection">A connection whose user may create tables.</param>
    /// <param name="store">The store, for people.</param>
    /// <param name="grantee">The user of running silos, who gets the rights that these need; null where it is this connection's.</param>
    /// <param name="cancellationToken">Ends it early, with nothing half done.</param>
    public static async Task<bool> RunAsync(NpgsqlConnection connection, string store, string? grantee, CancellationToken cancellationToken)
    {
        await using var transaction = await connection.BeginTransactionAsync(cancellationToken);

        // If two silos created the tables at once, one would fail, even with IF NOT EXISTS.
        await ExecuteAsync(connection, $"SELECT pg_advisory_xact_lock({Lock})", cancellationToken);
        await ExecuteAsync(connection, PostgresSchema.CreateVersions, cancellationToken);
        var version = await VersionAsync(connection, store, cancellationToken);
        foreach (var step in PostgresSchema.Migrations[version..])
        {
            await ExecuteAsync(connection, step, cancellationToken);
        }

        if (version < PostgresSchema.KeyedVersion)
        {
            await PostgresMigration.ReplaceHandlesAsync(connection, cancellationToken);
        }

        await ExecuteAsync(connection, $"DELETE FROM journal_schema; INSERT INTO journal_schema (version) VALUES ({PostgresSchema.Migrations.Length})", cancellationToken);
        if (grantee is not null)
        {
            await ExecuteAsync(connection, PostgresSchema.GrantsTo(PostgresDatabase.Quote(grantee)), cancellationToken);
        }

        await transaction.CommitAsync(cancellationToken);
        return true;
    }

    private static async Task<int> VersionAsync(NpgsqlConnection connection, string store, CancellationToken cancellationToken)
    {
        var version = (int)(await ScalarAsync(connection, "SELECT coalesce(max(version), 0) FROM journal_schema", cancellationToken))!;
        JournalMigrations.CheckVersion(version, PostgresSchema.Migrations.Length, store);
        return version;
    }

    private static async Task<object?> ScalarAsync(NpgsqlConnection connection, string sql, CancellationToken cancellationToken)
    {
        await using var command = new NpgsqlCommand(sql, connection);
        return await command.ExecuteScalarAsync(cancellationToken);
    }

    private static async Task ExecuteAsync(NpgsqlConnection connection, string sql, CancellationToken cancellationToken)
    {
#pragma warning disable CA2100 // The text is constant but for a user's name, which is quoted.
        await using var command = new NpgsqlCommand(sql, connection);
#pragma warning restore CA2100
        await command.ExecuteNonQueryAsync(cancellationToken);
    }
}
