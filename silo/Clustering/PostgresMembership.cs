using Microsoft.Extensions.Logging;
using Npgsql;

namespace IommuFd.Silo.Clustering;

// Runs before any part of Orleans. Silos that start at once queue at an advisory lock: the first creates the tables, the others find them.

/// <summary>Ensures that the database has the tables and queries that Orleans' membership needs.</summary>
internal sealed class PostgresMembership(ClusteringSettings settings, string clusterId, NpgsqlDataSource database, ILogger<PostgresMembership> logger) : ILifecycleParticipant<ISiloLifecycle>
{
    /// <summary>The advisory lock's key, used by this project alone, so that it collides with no other program's.</summary>
    private const long LockKey = 0x696F_6D6D_7566_6431;

    private static readonly TimeSpan RetryInterval = TimeSpan.FromMilliseconds(500);

    /// <summary>The keys that Orleans 10 looks up in OrleansQuery.</summary>
    private static readonly string[] Keys =
    [
        "GatewaysQueryKey", "MembershipReadRowKey", "MembershipReadAllKey", "InsertMembershipVersionKey", "UpdateIAmAlivetimeKey",
        "InsertMembershipKey", "UpdateMembershipKey", "DeleteMembershipTableEntriesKey", "CleanupDefunctSiloEntriesKey",
    ];

    private string Database => PostgresDatabase.Describe(settings.ConnectionString!);

    public void Participate(ISiloLifecycle lifecycle) => lifecycle.Subscribe(nameof(PostgresMembership), ServiceLifecycleStage.First + 1, PrepareAsync);

    /// <summary>Creates the tables, or checks the existing ones.</summary>
    internal async Task PrepareAsync(CancellationToken cancellationToken)
    {
        logger.JoiningCluster(clusterId, Database);
        using var patience = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        patience.CancelAfter(settings.DatabasePatience);
        var warned = false;
        while (true)
        {
            try
            {
                await using var connection = await database.OpenConnectionAsync(cancellationToken);
                await CreateOrCheckAsync(connection, cancellationToken);
                return;
            }
            catch (NpgsqlException exception) when (IsNotThereYet(exception))
            {
                if (!warned)
                {
                    logger.DatabaseNotThere(Database, settings.DatabasePatience, exception.Message);
                    warned = true;
                }

                try
                {
                    await Task.Delay(RetryInterval, patience.Token);
                }
                catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
                {
                    throw new ClusteringException($"{Database} does not answer: {exception.Message}", exception);
                }
            }
            catch (NpgsqlException exception)
            {
                var hint = exception.SqlState == PostgresErrorCodes.InsufficientPrivilege ? $". {nameof(settings.SetupConnectionString)} can name a user who may make the tables" : "";
                throw new ClusteringException($"{Database} can't hold the membership: {exception.Message}{hint}", exception);
            }
        }
    }

    // A server that starts or stops refuses connections (no SqlState), or reports that it can't accept one now (57P03) or is shutting down (57P01).
    private static bool IsNotThereYet(NpgsqlException exception) => exception.SqlState is null or PostgresErrorCodes.CannotConnectNow or PostgresErrorCodes.AdminShutdown;

    private async Task CreateOrCheckAsync(NpgsqlConnection connection, CancellationToken cancellationToken)
    {
        if (await IsMissingAsync(connection, cancellationToken) && await CreateAsync(connection, cancellationToken))
        {
            logger.MembershipCreated(Database);
        }
        else
        {
            await CheckAsync(connection, cancellationToken);
        }
    }

    private async Task<bool> CreateAsync(NpgsqlConnection own, CancellationToken cancellationToken)
    {
        await using var source = string.IsNullOrWhiteSpace(settings.SetupConnectionString) ? null : PostgresDatabase.Open(settings.SetupConnectionString, "iommufd-silo setup");
        await using var setup = source is null ? null : await source.OpenConnectionAsync(cancellationToken);
        var connection = setup ?? own;
        await using var transaction = await connection.BeginTransactionAsync(cancellationToken);
        await ExecuteAsync(connection, $"SELECT pg_advisory_xact_lock({LockKey})", cancellationToken);
        if (!await IsMissingAsync(connection, cancellationToken))
        {
            return false;
        }

        // Run verbatim: the @names in it are text to store, not parameters of this command.
        await ExecuteAsync(connection, await ReadScriptAsync(cancellationToken), cancellationToken);
        if (setup is not null)
        {
            await ExecuteAsync(connection, GrantsTo(new NpgsqlConnectionStringBuilder(settings.ConnectionString).Username!), cancellationToken);
        }

        await transaction.CommitAsync(cancellationToken);
        return true;
    }

    // The script's functions are for all users of the database, and act with the rights of the one who calls them.
    private static string GrantsTo(string user)
        => $"""
            GRANT SELECT, INSERT, UPDATE, DELETE ON OrleansMembershipVersionTable, OrleansMembershipTable TO {PostgresDatabase.Quote(user)};
            GRANT SELECT ON OrleansQuery TO {PostgresDatabase.Quote(user)};
            """;

    // Not by to_regclass: within a transaction the server remembers that a name led to no table, also while another silo makes it.
    private static async Task<bool> IsMissingAsync(NpgsqlConnection connection, CancellationToken cancellationToken)
        => await ScalarAsync(connection, "SELECT NOT EXISTS (SELECT FROM pg_class WHERE relname = 'orleansquery' AND pg_table_is_visible(oid))", cancellationToken) is true;

    private async Task CheckAsync(NpgsqlConnection connection, CancellationToken cancellationToken)
    {
        var present = (string[])(await ScalarAsync(connection, "SELECT coalesce(array_agg(QueryKey::text), '{}') FROM OrleansQuery", cancellationToken))!;
        var missing = Keys.Except(present).ToArray();
        if (missing.Length > 0)
        {
            throw new ClusteringException(
                $"{Database} has a table OrleansQuery of another application: it lacks {string.Join(", ", missing)}. Name a database of this cluster's own, or drop the Orleans* tables in it.");
        }

        foreach (var table in (string[])["OrleansMembershipVersionTable", "OrleansMembershipTable"])
        {
            if (await ScalarAsync(connection, $"SELECT to_regclass('{table}') IS NULL", cancellationToken) is true)
            {
                throw new ClusteringException($"{Database} has the table OrleansQuery but not {table}. Drop the Orleans* tables in it; the next silo to start creates all of them.");
            }
        }
    }

    private static async Task<string> ReadScriptAsync(CancellationToken cancellationToken)
    {
        using var script = new StreamReader(typeof(PostgresMembership).Assembly.GetManifestResourceStream("membership.sql")!);
        return await script.ReadToEndAsync(cancellationToken);
    }

    private static async Task ExecuteAsync(NpgsqlConnection connection, string sql, CancellationToken cancellationToken)
    {
        await using var command = new NpgsqlCommand(sql, connection);
        await command.ExecuteNonQueryAsync(cancellationToken);
    }

    private static async Task<object?> ScalarAsync(NpgsqlConnection connection, string sql, CancellationToken cancellationToken)
    {
        await using var command = new NpgsqlCommand(sql, connection);
        return await command.ExecuteScalarAsync(cancellationToken);
    }
}
