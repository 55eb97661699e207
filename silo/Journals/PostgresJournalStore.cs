using IommuFd.GrainInterfaces;
using IommuFd.Grains.Journaling;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;
using Npgsql;
using NpgsqlTypes;

namespace IommuFd.Silo.Journals;

// Fencing is the lock on a context's row. A commit first locks the rows of all its contexts, in the order of their handles, so that two silos never wait for
// each other in a circle; only then do its further statements look at the epochs, and each sees what is committed at that time. Taking a journal over
// changes its epoch under the same lock. So a write of an earlier epoch is either before the new epoch, and its holder reads it, or it is never made.
//
// A whole commit is one batch: one round trip, and one transaction, which the server ends by itself behind the last statement. It never waits for the silo
// while it holds locks, except for the rest of a batch that is on its way.

/// <summary>Journals in a database of PostgreSQL, for the silos of a cluster. Thread-safe.</summary>
public sealed class PostgresJournalStore : IJournalStore
{
    // Any number will do that nobody else takes: "iommufdJ".
    private const long MigrationLock = 0x696F6D6D7566644A;
    private const int MaxAttempts = 3;

    private const string Lock = "SELECT handle, epoch, released_at IS NOT NULL FROM journal_contexts WHERE handle = ANY ($1) ORDER BY handle FOR NO KEY UPDATE";

    private const string Look = "SELECT handle, epoch, released_at IS NOT NULL FROM journal_contexts WHERE handle = ANY ($1)";

    // In the statements of a commit, OFFSET 0 keeps the planner from joining: it is one look-up for each write. A place that the snapshot has becomes null,
    // which no column takes.
    private const string Append =
        """
        INSERT INTO journal_records (handle, position, frame)
        SELECT w.handle, CASE WHEN w.position > c.snapshot_position THEN w.position END, w.frame
        FROM unnest($1, $2, $3, $4) AS w (handle, epoch, position, frame)
        CROSS JOIN LATERAL (SELECT * FROM journal_contexts WHERE handle = w.handle OFFSET 0) AS c
        WHERE c.epoch = w.epoch AND c.released_at IS NULL
        """;

    private const string Snapshot =
        """
        WITH w AS MATERIALIZED (
            SELECT w.handle, CASE WHEN w.position >= c.snapshot_position THEN w.position END AS position, w.frame
            FROM unnest($1, $2, $3, $4) AS w (handle, epoch, position, frame)
            CROSS JOIN LATERAL (SELECT * FROM journal_contexts WHERE handle = w.handle OFFSET 0) AS c
            WHERE c.epoch = w.epoch AND c.released_at IS NULL),
        stored AS (
            INSERT INTO journal_snapshots (handle, frame) SELECT handle, frame FROM w ON CONFLICT (handle) DO UPDATE SET frame = excluded.frame),
        compacted AS (
            DELETE FROM journal_records AS r USING w WHERE r.handle = w.handle AND r.position <= w.position)
        UPDATE journal_contexts AS c SET snapshot_position = w.position FROM w WHERE c.handle = w.handle
        """;

    private const string Release =
        """
        WITH w AS (
            UPDATE journal_contexts AS c SET released = w.frame, released_at = now(), snapshot_position = 0
            FROM unnest($1, $2, $3) AS w (handle, epoch, frame)
            WHERE c.handle = w.handle AND c.epoch = w.epoch AND c.released_at IS NULL
            RETURNING c.handle),
        forgotten AS (
            DELETE FROM journal_snapshots AS s USING w WHERE s.handle = w.handle)
        DELETE FROM journal_records AS r USING w WHERE r.handle = w.handle
        """;

    private readonly NpgsqlDataSource _source;
    private readonly TimeSpan _timeout;
    private readonly ILogger _logger;

    /// <summary>Describes a store; <see cref="InitializeAsync"/> connects.</summary>
    /// <param name="settings">The database, and how to use it.</param>
    /// <param name="logger">Where retries are told.</param>
    /// <exception cref="JournalStoreException">The connection string can't be read.</exception>
    public PostgresJournalStore(JournalSettings settings, ILogger<PostgresJournalStore>? logger = null)
    {
        ArgumentNullException.ThrowIfNull(settings);
        _timeout = settings.Timeout;
        _source = PostgresConnection.TryOpen(settings.ConnectionString, settings.Timeout) ?? throw new JournalStoreException(PostgresConnection.Unreadable);
        _logger = logger ?? NullLogger<PostgresJournalStore>.Instance;
        Description = PostgresConnection.Describe(settings.ConnectionString!);
    }

    /// <inheritdoc/>
    public string Description { get; }

    /// <inheritdoc/>
    public Task InitializeAsync(CancellationToken cancellationToken)
        => RunAsync("set up its tables", repeatable: true, async connection =>
        {
            await using var transaction = await connection.BeginTransactionAsync(cancellationToken);

            // Tables that two create at once make one of them fail, IF NOT EXISTS or not.
            await ExecuteAsync(connection, "SELECT pg_advisory_xact_lock($1)", cancellationToken, new NpgsqlParameter<long> { TypedValue = MigrationLock });
            await ExecuteAsync(connection, PostgresSchema.CreateVersions, cancellationToken);
            await using (var read = new NpgsqlCommand("SELECT coalesce(max(version), 0) FROM journal_schema", connection))
            {
                var version = (int)(await read.ExecuteScalarAsync(cancellationToken))!;
                JournalMigrations.CheckVersion(version, PostgresSchema.Migrations.Length, Description);
                foreach (var step in PostgresSchema.Migrations[version..])
                {
                    await ExecuteAsync(connection, step, cancellationToken);
                }
            }

            await ExecuteAsync(connection, "DELETE FROM journal_schema", cancellationToken);
            await ExecuteAsync(connection, "INSERT INTO journal_schema (version) VALUES ($1)", cancellationToken, new NpgsqlParameter<int> { TypedValue = PostgresSchema.Migrations.Length });
            await transaction.CommitAsync(cancellationToken);
            return true;
        }, cancellationToken);

    /// <inheritdoc/>
    public Task<long?> CreateAsync(ContextHandle handle, string owner, CancellationToken cancellationToken)
    {
        JournalLimits.CheckOwner(owner);
        return RunAsync<long?>("create a journal", repeatable: false, async connection =>
            await ExecuteAsync(
                connection,
                "INSERT INTO journal_contexts (handle, epoch, owner, snapshot_position) VALUES ($1, 1, $2, 0) ON CONFLICT DO NOTHING",
                cancellationToken, Value(handle), Value(owner)) == 1 ? 1 : null, cancellationToken);
    }

    /// <inheritdoc/>
    public Task<JournalHead?> AcquireAsync(ContextHandle handle, string owner, CancellationToken cancellationToken)
    {
        JournalLimits.CheckOwner(owner);
        return RunAsync("take a journal over", repeatable: true, async connection =>
        {
            // Two transactions in one round trip: a snapshot may be large, and sending it must not hold the lock. Nobody of an earlier epoch changes
            // anything in between; if somebody of a later one does, then what this one makes of it can't be written.
            await using var batch = new NpgsqlBatch(connection) { EnableErrorBarriers = true };
            Add(batch, "UPDATE journal_contexts SET epoch = epoch + 1, owner = $2 WHERE handle = $1 RETURNING epoch", Value(handle), Value(owner));
            Add(batch, "SELECT snapshot_position, frame, released FROM journal_contexts LEFT JOIN journal_snapshots USING (handle) WHERE handle = $1", Value(handle));
            await using var reader = await batch.ExecuteReaderAsync(cancellationToken);
            long? epoch = await reader.ReadAsync(cancellationToken) ? reader.GetInt64(0) : null;
            JournalHead? head = null;
            if (await reader.NextResultAsync(cancellationToken) && await reader.ReadAsync(cancellationToken) && epoch is { } taken)
            {
                head = new JournalHead(taken, reader.GetInt64(0), Frame(reader, 1), Frame(reader, 2));
            }

            await ReadToEndAsync(reader, cancellationToken);
            return head;
        }, cancellationToken);
    }

    /// <inheritdoc/>
    public Task<IReadOnlyList<JournalEntry>> ReadAsync(ContextHandle handle, long after, int maxBytes, CancellationToken cancellationToken)
        => RunAsync<IReadOnlyList<JournalEntry>>("read a journal", repeatable: true, async connection =>
        {
            // The server stops where the page ends, since a reader that stops by itself must receive the rest all the same.
            await using var command = new NpgsqlCommand(
                """
                SELECT position, frame
                FROM (
                    SELECT position, frame, sum(octet_length(frame)) OVER (ORDER BY position ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS bytes_before
                    FROM journal_records WHERE handle = $1 AND position > $2 ORDER BY position LIMIT $4) AS page
                WHERE bytes_before IS NULL OR bytes_before < $3
                ORDER BY position
                """, connection);
            command.Parameters.Add(Value(handle));
            command.Parameters.Add(Value(after));
            command.Parameters.Add(Value(maxBytes));
            command.Parameters.Add(Value(JournalLimits.MaxRecords));
            await using var reader = await command.ExecuteReaderAsync(cancellationToken);
            var entries = new List<JournalEntry>();
            while (await reader.ReadAsync(cancellationToken))
            {
                entries.Add(new JournalEntry(reader.GetInt64(0), reader.GetFieldValue<byte[]>(1)));
            }

            return entries;
        }, cancellationToken);

    /// <inheritdoc/>
    public Task<JournalOutcome[]> CommitAsync(IReadOnlyList<JournalWrite> writes, CancellationToken cancellationToken)
    {
        JournalLimits.CheckWrites(writes);
        return writes.Count == 0
            ? Task.FromResult<JournalOutcome[]>([])
            : RunAsync("commit", repeatable: writes.All(write => write is ConfirmEpoch), connection => CommitAsync(connection, writes, cancellationToken), cancellationToken);
    }

    /// <inheritdoc/>
    public Task<IReadOnlyList<JournalInfo>> ListAsync(ContextHandle? after, int limit, CancellationToken cancellationToken)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(limit, 1);
        return RunAsync<IReadOnlyList<JournalInfo>>("list journals", repeatable: true, async connection =>
        {
            await using var command = new NpgsqlCommand(
                "SELECT handle, epoch, owner FROM journal_contexts WHERE ($1 IS NULL OR handle > $1) AND released_at IS NULL ORDER BY handle LIMIT $2", connection);
            command.Parameters.Add(new NpgsqlParameter { NpgsqlDbType = NpgsqlDbType.Uuid, Value = after is { } handle ? handle.Value : DBNull.Value });
            command.Parameters.Add(Value(Math.Min(limit, JournalLimits.MaxInfos)));
            await using var reader = await command.ExecuteReaderAsync(cancellationToken);
            var infos = new List<JournalInfo>();
            while (await reader.ReadAsync(cancellationToken))
            {
                infos.Add(new JournalInfo(new ContextHandle(reader.GetGuid(0)), reader.GetInt64(1), reader.GetString(2)));
            }

            return infos;
        }, cancellationToken);
    }

    /// <inheritdoc/>
    public async Task<int> PurgeAsync(TimeSpan age, CancellationToken cancellationToken)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(age, TimeSpan.Zero);

        // Farther back than the calendar of PostgreSQL goes, and than anybody waits.
        var bounded = age < TimeSpan.FromDays(365_000) ? age : TimeSpan.FromDays(365_000);
        for (var sum = 0; ;)
        {
            // Rows that somebody has locked are asked for right now; they can go another time, and waiting for them out of order could be a deadlock.
            var purged = await RunAsync("purge released contexts", repeatable: true, connection => ExecuteAsync(
                connection,
                """
                DELETE FROM journal_contexts WHERE handle IN (
                    SELECT handle FROM journal_contexts WHERE released_at <= now() - $1 ORDER BY released_at LIMIT $2 FOR UPDATE SKIP LOCKED)
                """,
                cancellationToken, new NpgsqlParameter<TimeSpan> { TypedValue = bounded }, Value(JournalLimits.MaxPurged)), cancellationToken);
            sum += purged;
            if (purged < JournalLimits.MaxPurged)
            {
                return sum;
            }
        }
    }

    /// <inheritdoc/>
    public ValueTask DisposeAsync() => _source.DisposeAsync();

    private static async Task<JournalOutcome[]> CommitAsync(NpgsqlConnection connection, IReadOnlyList<JournalWrite> writes, CancellationToken cancellationToken)
    {
        await using var batch = new NpgsqlBatch(connection);

        // What only asks needs no lock, and a commit of such is none: each statement sees every epoch that was taken before it began.
        Guid[] locked = [.. writes.Where(write => write is not ConfirmEpoch).Select(write => write.Handle.Value)];
        Guid[] looked = [.. writes.OfType<ConfirmEpoch>().Select(write => write.Handle.Value)];
        AddUnlessEmpty(batch, Lock, locked);
        AddUnlessEmpty(batch, Look, looked);
        var states = batch.BatchCommands.Count;

        AppendRecord[] appends = [.. writes.OfType<AppendRecord>()];
        AddUnlessEmpty(batch, Append, Handles(appends), Epochs(appends), Array.ConvertAll(appends, write => write.Position), Array.ConvertAll(appends, write => write.Frame));
        StoreSnapshot[] snapshots = [.. writes.OfType<StoreSnapshot>()];
        AddUnlessEmpty(batch, Snapshot, Handles(snapshots), Epochs(snapshots), Array.ConvertAll(snapshots, write => write.Position), Array.ConvertAll(snapshots, write => write.Frame));
        ReleaseJournal[] releases = [.. writes.OfType<ReleaseJournal>()];
        AddUnlessEmpty(batch, Release, Handles(releases), Epochs(releases), Array.ConvertAll(releases, write => write.Frame));

        var open = new Dictionary<Guid, long>(writes.Count);
        await using (var reader = await batch.ExecuteReaderAsync(cancellationToken))
        {
            for (var i = 0; i < states; i++)
            {
                while (await reader.ReadAsync(cancellationToken))
                {
                    if (!reader.GetBoolean(2))
                    {
                        open.Add(reader.GetGuid(0), reader.GetInt64(1));
                    }
                }

                await reader.NextResultAsync(cancellationToken);
            }

            // The transaction ends behind the last statement; before that nothing is sure.
            await ReadToEndAsync(reader, cancellationToken);
        }

        return [.. writes.Select(write => open.TryGetValue(write.Handle.Value, out var epoch) && epoch == write.Epoch ? JournalOutcome.Committed : JournalOutcome.Fenced)];
    }

    private static Guid[] Handles(JournalWrite[] writes) => Array.ConvertAll(writes, write => write.Handle.Value);

    private static long[] Epochs(JournalWrite[] writes) => Array.ConvertAll(writes, write => write.Epoch);

    private static void AddUnlessEmpty(NpgsqlBatch batch, string sql, params ReadOnlySpan<Array> columns)
    {
        if (columns[0].Length == 0)
        {
            return;
        }

        var command = new NpgsqlBatchCommand(sql);
        foreach (var column in columns)
        {
            command.Parameters.Add(new NpgsqlParameter { Value = column });
        }

        batch.BatchCommands.Add(command);
    }

    private static void Add(NpgsqlBatch batch, string sql, params ReadOnlySpan<NpgsqlParameter> parameters)
    {
        var command = new NpgsqlBatchCommand(sql);
        command.Parameters.AddRange(parameters.ToArray());
        batch.BatchCommands.Add(command);
    }

    private static async Task<int> ExecuteAsync(NpgsqlConnection connection, string sql, CancellationToken cancellationToken, params NpgsqlParameter[] parameters)
    {
#pragma warning disable CA2100 // All of it is constant text; what comes from outside comes as parameters.
        await using var command = new NpgsqlCommand(sql, connection);
#pragma warning restore CA2100
        command.Parameters.AddRange(parameters);
        return await command.ExecuteNonQueryAsync(cancellationToken);
    }

    private static async Task ReadToEndAsync(NpgsqlDataReader reader, CancellationToken cancellationToken)
    {
        while (await reader.NextResultAsync(cancellationToken))
        {
        }
    }

    private static byte[]? Frame(NpgsqlDataReader reader, int column) => reader.IsDBNull(column) ? null : reader.GetFieldValue<byte[]>(column);

    private static NpgsqlParameter<Guid> Value(ContextHandle handle) => new() { TypedValue = handle.Value };

    private static NpgsqlParameter<string> Value(string text) => new() { TypedValue = text };

    private static NpgsqlParameter<long> Value(long number) => new() { TypedValue = number };

    private async Task<T> RunAsync<T>(string operation, bool repeatable, Func<NpgsqlConnection, Task<T>> run, CancellationToken cancellationToken)
    {
        for (var attempt = 1; ; attempt++)
        {
            try
            {
                await using var connection = await _source.OpenConnectionAsync(cancellationToken);
                return await run(connection);
            }
            catch (Exception exception) when (PostgresErrors.IsServers(exception))
            {
                var lost = PostgresErrors.IsConnectionLost(exception);
                if (lost)
                {
                    // After a restart of the server every connection in the pool is dead; the next must be a new one.
                    _source.Clear();
                }

                if (attempt == MaxAttempts || !(PostgresErrors.IsRolledBack(exception) || (lost && repeatable)))
                {
                    throw PostgresErrors.ToStore(exception, operation, Description, _timeout);
                }

                _logger.StoreRetried(exception, Description, operation);
            }
        }
    }
}
