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
                throw new ClusteringException($"{Database} can't hold the membership: {exception.Message}", exception);
            }
        }
    }

    // A server that starts or stops refuses connections (no SqlState), or reports that it can't accept one now (57P03) or is shutting down (57P01).
    private static bool IsNotThereYet(NpgsqlException exception) => exception.SqlState is null or PostgresErrorCodes.CannotConnectNow or PostgresErrorCodes.AdminShutdown;

    private async Task CreateOrCheckAsync(NpgsqlConnection connection, CancellationToken cancellationToken)
    {
        await using var transaction = await connection.BeginTransactionAsync(cancellationToken);
        await ExecuteAsync(connection, $"SELECT pg_advisory_xact_lock({LockKey})", cancellationToken);
        if (await ScalarAsync(connection, "SELECT to_regclass('OrleansQuery') IS NULL", cancellationToken) is true)
        {
            // Run verbatim: the @names in it are text to store, not parameters of this command.
            await ExecuteAsync(connection, await ReadScriptAsync(cancellationToken), cancellationToken);
            await transaction.CommitAsync(cancellationToken);
            logger.MembershipCreated(Database);
            return;
        }

        await CheckAsync(connection, cancellationToken);
    }

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
