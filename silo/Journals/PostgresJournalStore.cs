using IommuFd.GrainInterfaces;
using IommuFd.Grains.Journaling;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;
using Npgsql;
using NpgsqlTypes;

namespace IommuFd.Silo.Journals;

// The lock on a context's row is the fence. A commit first locks the rows of all its contexts, in key order, so that two silos never wait
// for each other in a circle. Only then do its other statements read the epochs, and each sees what is committed by then. A takeover changes
// the journal's epoch under the same lock. So a write of an earlier epoch either precedes the new epoch, and the new owner reads it, or it is
// never made.
//
// A commit is one batch: one round trip and one transaction, which the server ends by itself after the last statement. While it holds locks,
// the server never waits for the silo, except for the rest of a batch in transit.

/// <summary>Stores journals in a PostgreSQL database, for the silos of a cluster. Thread-safe.</summary>
public sealed class PostgresJournalStore : IJournalStore
{
    private const int MaxAttempts = 3;

    private const string Lock = "SELECT key, epoch, released_at IS NOT NULL FROM journal_contexts WHERE key = ANY ($1) ORDER BY key FOR NO KEY UPDATE";

    private const string Look = "SELECT key, epoch, released_at IS NOT NULL FROM journal_contexts WHERE key = ANY ($1)";

    // In a commit's statements, OFFSET 0 keeps the planner from joining, so that each write costs one look-up. A position that the snapshot
    // covers becomes null, which no column accepts.
    private const string Append =
        """
        INSERT INTO journal_records (key, position, frame)
        SELECT w.key, CASE WHEN w.position > c.snapshot_position THEN w.position END, w.frame
        FROM unnest($1, $2, $3, $4) AS w (key, epoch, position, frame)
        CROSS JOIN LATERAL (SELECT * FROM journal_contexts WHERE key = w.key OFFSET 0) AS c
        WHERE c.epoch = w.epoch AND c.released_at IS NULL
        """;

    private const string Snapshot =
        """
        WITH w AS MATERIALIZED (
            SELECT w.key, CASE WHEN w.position >= c.snapshot_position THEN w.position END AS position, w.frame
            FROM unnest($1, $2, $3, $4) AS w (key, epoch, position, frame)
            CROSS JOIN LATERAL (SELECT * FROM journal_contexts WHERE key = w.key OFFSET 0) AS c
            WHERE c.epoch = w.epoch AND c.released_at IS NULL),
        stored AS (
            INSERT INTO journal_snapshots (key, frame) SELECT key, frame FROM w ON CONFLICT (key) DO UPDATE SET frame = excluded.frame),
        compacted AS (
            DELETE FROM journal_records AS r USING w WHERE r.key = w.key AND r.position <= w.position)
        UPDATE journal_contexts AS c SET snapshot_position = w.position FROM w WHERE c.key = w.key
        """;

    private const string Release =
        """
        WITH w AS (
            UPDATE journal_contexts AS c SET released = w.frame, released_at = now(), snapshot_position = 0
            FROM unnest($1, $2, $3) AS w (key, epoch, frame)
            WHERE c.key = w.key AND c.epoch = w.epoch AND c.released_at IS NULL
            RETURNING c.key),
        forgotten AS (
            DELETE FROM journal_snapshots AS s USING w WHERE s.key = w.key)
        DELETE FROM journal_records AS r USING w WHERE r.key = w.key
        """;

    private readonly NpgsqlDataSource _source;
    private readonly TimeSpan _timeout;
    private readonly ILogger _logger;
    private readonly string? _setup;
    private readonly string? _user;

    /// <summary>Configures the store; <see cref="InitializeAsync"/> connects.</summary>
    /// <param name="settings">The database, and how to use it.</param>
    /// <param name="logger">Logs retries.</param>
    /// <exception cref="JournalStoreException">The connection string can't be read.</exception>
    public PostgresJournalStore(JournalSettings settings, ILogger<PostgresJournalStore>? logger = null)
    {
        ArgumentNullException.ThrowIfNull(settings);
        _timeout = settings.Timeout;
        _source = PostgresConnection.TryOpen(settings.ConnectionString, settings.Timeout) ?? throw new JournalStoreException(PostgresConnection.Unreadable);
        _logger = logger ?? NullLogger<PostgresJournalStore>.Instance;
        Description = PostgresConnection.Describe(settings.ConnectionString!);
        _setup = string.IsNullOrWhiteSpace(settings.SetupConnectionString) ? null : settings.SetupConnectionString;
        _user = new NpgsqlConnectionStringBuilder(settings.ConnectionString).Username;
    }

    /// <inheritdoc/>
    public string Description { get; }

    /// <inheritdoc/>
    /// <remarks>Tables that are as they must be are only looked at, for which the running silo's rights are enough.</remarks>
    public async Task InitializeAsync(CancellationToken cancellationToken)
    {
        if (await RunAsync("set up its tables", repeatable: true, connection => PostgresSetup.IsDoneAsync(connection, Description, cancellationToken), cancellationToken))
        {
            return;
        }

        if (_setup is null)
        {
            await RunAsync("set up its tables", repeatable: true, connection => PostgresSetup.RunAsync(connection, Description, grantee: null, cancellationToken), cancellationToken);
            return;
        }

        await using var setup = PostgresConnection.TryOpen(_setup, _timeout)!;
        await RunAsync(setup, "set up its tables", repeatable: true, connection => PostgresSetup.RunAsync(connection, Description, _user, cancellationToken), cancellationToken);
    }

    /// <inheritdoc/>
    public Task<long?> CreateAsync(ContextKey key, string owner, CancellationToken cancellationToken)
    {
        JournalLimits.CheckOwner(owner);
        return RunAsync<long?>("create a journal", repeatable: false, async connection =>
            await ExecuteAsync(
                connection,
                "INSERT INTO journal_contexts (key, epoch, owner, snapshot_position) VALUES ($1, 1, $2, 0) ON CONFLICT DO NOTHING",
                cancellationToken, Value(key), Value(owner)) == 1 ? 1 : null, cancellationToken);
    }

    /// <inheritdoc/>
    public Task<JournalHead?> AcquireAsync(ContextKey key, string owner, CancellationToken cancellationToken)
    {
        JournalLimits.CheckOwner(owner);
        return RunAsync("take over a journal", repeatable: true, async connection =>
        {
            // Two transactions in one round trip: a snapshot may be large, and the lock must not be held while it is sent. In between, no
            // earlier epoch can write; if a later one does, this epoch can no longer write anything based on what it read.
            await using var batch = new NpgsqlBatch(connection) { EnableErrorBarriers = true };
            Add(
                batch,
                "UPDATE journal_contexts SET epoch = epoch + 1, owner = $2 WHERE key = $1 AND ($3 = '' OR strpos(owner, '/') = 0 OR starts_with(owner, $3)) RETURNING epoch",
                Value(key), Value(owner), Value(JournalOwner.ClusterPartOf(owner)));
            Add(batch, "SELECT snapshot_position, frame, released, owner FROM journal_contexts LEFT JOIN journal_snapshots USING (key) WHERE key = $1", Value(key));
            await using var reader = await batch.ExecuteReaderAsync(cancellationToken);
            long? epoch = await reader.ReadAsync(cancellationToken) ? reader.GetInt64(0) : null;
            JournalHead? head = null;
            if (await reader.NextResultAsync(cancellationToken) && await reader.ReadAsync(cancellationToken))
            {
                head = epoch is { } taken
                    ? new JournalHead(taken, reader.GetInt64(0), Frame(reader, 1), Frame(reader, 2))
                    : new JournalHead(0, 0, null, null) { Foreign = reader.GetString(3) };
            }

            await ReadToEndAsync(reader, cancellationToken);
            return head;
        }, cancellationToken);
    }

    /// <inheritdoc/>
    public Task<IReadOnlyList<JournalEntry>> ReadAsync(ContextKey key, long after, int maxBytes, CancellationToken cancellationToken)
        => RunAsync<IReadOnlyList<JournalEntry>>("read a journal", repeatable: true, async connection =>
        {
            // The server ends the page: a client that stopped reading would still receive the rest.
            await using var command = new NpgsqlCommand(
                """
                SELECT position, frame
                FROM (
                    SELECT position, frame, sum(octet_length(frame)) OVER (ORDER BY position ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS bytes_before
                    FROM journal_records WHERE key = $1 AND position > $2 ORDER BY position LIMIT $4) AS page
                WHERE bytes_before IS NULL OR bytes_before < $3
                ORDER BY position
                """, connection);
            command.Parameters.Add(Value(key));
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
    public Task<IReadOnlyList<JournalInfo>> ListAsync(ContextKey? after, int limit, CancellationToken cancellationToken)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(limit, 1);
        return RunAsync<IReadOnlyList<JournalInfo>>("list journals", repeatable: true, async connection =>
        {
            await using var command = new NpgsqlCommand(
                "SELECT key, epoch, owner FROM journal_contexts WHERE ($1 IS NULL OR key > $1) AND released_at IS NULL ORDER BY key LIMIT $2", connection);
            command.Parameters.Add(new NpgsqlParameter { NpgsqlDbType = NpgsqlDbType.Uuid, Value = after is { } key ? key.Value : DBNull.Value });
            command.Parameters.Add(Value(Math.Min(limit, JournalLimits.MaxInfos)));
            await using var reader = await command.ExecuteReaderAsync(cancellationToken);
            var infos = new List<JournalInfo>();
            while (await reader.ReadAsync(cancellationToken))
            {
                infos.Add(new JournalInfo(new ContextKey(reader.GetGuid(0)), reader.GetInt64(1), reader.GetString(2)));
            }

            return infos;
        }, cancellationToken);
    }

    /// <inheritdoc/>
    public async Task<int> PurgeAsync(TimeSpan age, CancellationToken cancellationToken)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(age, TimeSpan.Zero);

        // Longer than any caller waits, and short enough for PostgreSQL's calendar.
        var bounded = age < TimeSpan.FromDays(365_000) ? age : TimeSpan.FromDays(365_000);
        for (var sum = 0; ;)
        {
            // A locked row is in use and can go another time; waiting for it out of key order could deadlock.
            var purged = await RunAsync("purge released contexts", repeatable: true, connection => ExecuteAsync(
                connection,
                """
                DELETE FROM journal_contexts WHERE key IN (
                    SELECT key FROM journal_contexts WHERE released_at <= now() - $1 ORDER BY released_at LIMIT $2 FOR UPDATE SKIP LOCKED)
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
    public Task ProbeAsync(CancellationToken cancellationToken)
        => RunAsync("write", repeatable: true, async connection =>
        {
            // One transaction: no other one sees the row.
            await using var batch = new NpgsqlBatch(connection);
            var key = new ContextKey(Guid.NewGuid());
            Add(batch, "INSERT INTO journal_contexts (key, epoch, owner, snapshot_position) VALUES ($1, 0, '', 0)", Value(key));
            Add(batch, "DELETE FROM journal_contexts WHERE key = $1", Value(key));
            return await batch.ExecuteNonQueryAsync(cancellationToken);
        }, cancellationToken);

    /// <inheritdoc/>
    public ValueTask DisposeAsync() => _source.DisposeAsync();

    private static async Task<JournalOutcome[]> CommitAsync(NpgsqlConnection connection, IReadOnlyList<JournalWrite> writes, CancellationToken cancellationToken)
    {
        await using var batch = new NpgsqlBatch(connection);

        // Confirmations need no lock, and alone they write nothing: each statement sees every epoch taken before it began.
        Guid[] locked = [.. writes.Where(write => write is not ConfirmEpoch).Select(write => write.Key.Value)];
        Guid[] looked = [.. writes.OfType<ConfirmEpoch>().Select(write => write.Key.Value)];
        AddUnlessEmpty(batch, Lock, locked);
        AddUnlessEmpty(batch, Look, looked);
        var states = batch.BatchCommands.Count;

        AppendRecord[] appends = [.. writes.OfType<AppendRecord>()];
        AddUnlessEmpty(batch, Append, Keys(appends), Epochs(appends), Array.ConvertAll(appends, write => write.Position), Array.ConvertAll(appends, write => write.Frame));
        StoreSnapshot[] snapshots = [.. writes.OfType<StoreSnapshot>()];
        AddUnlessEmpty(batch, Snapshot, Keys(snapshots), Epochs(snapshots), Array.ConvertAll(snapshots, write => write.Position), Array.ConvertAll(snapshots, write => write.Frame));
        ReleaseJournal[] releases = [.. writes.OfType<ReleaseJournal>()];
        AddUnlessEmpty(batch, Release, Keys(releases), Epochs(releases), Array.ConvertAll(releases, write => write.Frame));

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

            // The transaction ends after the last statement; until then its outcome is unknown.
            await ReadToEndAsync(reader, cancellationToken);
        }

        return [.. writes.Select(write => open.TryGetValue(write.Key.Value, out var epoch) && epoch == write.Epoch ? JournalOutcome.Committed : JournalOutcome.Fenced)];
    }

    private static Guid[] Keys(JournalWrite[] writes) => Array.ConvertAll(writes, write => write.Key.Value);

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
#pragma warning disable CA2100 // The text is constant; values from outside are parameters.
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

    private static NpgsqlParameter<Guid> Value(ContextKey key) => new() { TypedValue = key.Value };

    private static NpgsqlParameter<string> Value(string text) => new() { TypedValue = text };

    private static NpgsqlParameter<long> Value(long number) => new() { TypedValue = number };

    private Task<T> RunAsync<T>(string operation, bool repeatable, Func<NpgsqlConnection, Task<T>> run, CancellationToken cancellationToken)
        => RunAsync(_source, operation, repeatable, run, cancellationToken);

    private async Task<T> RunAsync<T>(NpgsqlDataSource source, string operation, bool repeatable, Func<NpgsqlConnection, Task<T>> run, CancellationToken cancellationToken)
    {
        for (var attempt = 1; ; attempt++)
        {
            try
            {
                await using var connection = await source.OpenConnectionAsync(cancellationToken);
                return await run(connection);
            }
            catch (Exception exception) when (PostgresErrors.IsServers(exception))
            {
                var lost = PostgresErrors.IsConnectionLost(exception);
                if (lost)
                {
                    // A server restart kills every pooled connection; the next attempt needs a new one.
                    source.Clear();
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
