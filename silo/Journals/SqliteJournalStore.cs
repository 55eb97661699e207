using IommuFd.GrainInterfaces;
using IommuFd.Grains.Journaling;
using Microsoft.Data.Sqlite;

namespace IommuFd.Silo.Journals;

// The file is in WAL mode: a commit appends to the log and, unless told otherwise, waits until that is on disk. The lock for writes orders whatever changes an
// epoch and whatever is written under one, over all processes that share the file; that is the whole of fencing here.

/// <summary>Journals in a file of SQLite, for the silos of one machine. Thread-safe; several stores, in several processes, may share a file.</summary>
public sealed class SqliteJournalStore : IJournalStore
{
    private readonly SqliteConnections _connections;
    private readonly TimeSpan _timeout;

    /// <summary>Describes a store; <see cref="InitializeAsync"/> opens it.</summary>
    /// <param name="settings">The file, and how to use it.</param>
    public SqliteJournalStore(JournalSettings settings)
    {
        ArgumentNullException.ThrowIfNull(settings);
        var path = Path.GetFullPath(settings.Path);
        _timeout = settings.Timeout;
        _connections = new SqliteConnections(path, settings.Synchronous, settings.Timeout);
        Description = $"SQLite file {path}";
    }

    /// <inheritdoc/>
    public string Description { get; }

    /// <inheritdoc/>
    public Task InitializeAsync(CancellationToken cancellationToken)
        => WriteAsync("set up its tables", session =>
        {
            session.Read("PRAGMA journal_mode = WAL", row => row.GetString(0) == "wal"
                ? true
                : throw new JournalStoreException($"{Description} can't have a write-ahead log, its file system has no shared memory: put it on a local disk."));
            return session.InTransaction("BEGIN IMMEDIATE", () => Migrate(session));
        }, cancellationToken);

    /// <inheritdoc/>
    public Task<long?> CreateAsync(ContextHandle handle, string owner, CancellationToken cancellationToken)
    {
        JournalLimits.CheckOwner(owner);
        return WriteAsync<long?>("create a journal", session => session.InTransaction("BEGIN IMMEDIATE", () => session.Execute(
            "INSERT INTO journal_contexts (handle, epoch, owner, snapshot_position) VALUES (?1, 1, ?2, 0) ON CONFLICT DO NOTHING",
            SqliteSession.Key(handle), owner)) == 1 ? 1 : null, cancellationToken);
    }

    /// <inheritdoc/>
    public Task<JournalHead?> AcquireAsync(ContextHandle handle, string owner, CancellationToken cancellationToken)
    {
        JournalLimits.CheckOwner(owner);
        return WriteAsync("take a journal over", session => session.InTransaction("BEGIN IMMEDIATE", () => Acquire(session, SqliteSession.Key(handle), owner)), cancellationToken);
    }

    /// <inheritdoc/>
    public Task<IReadOnlyList<JournalEntry>> ReadAsync(ContextHandle handle, long after, int maxBytes, CancellationToken cancellationToken)
        => ReadAsync<IReadOnlyList<JournalEntry>>("read a journal", session =>
        {
            var entries = new List<JournalEntry>();
            long bytes = 0;
            session.Read(
                "SELECT position, frame FROM journal_records WHERE handle = ?1 AND position > ?2 ORDER BY position LIMIT ?3",
                row =>
                {
                    var entry = new JournalEntry(row.GetInt64(0), row.GetFieldValue<byte[]>(1));
                    entries.Add(entry);
                    bytes += entry.Frame.Length;
                    return bytes < maxBytes;
                },
                SqliteSession.Key(handle), after, JournalLimits.MaxRecords);
            return entries;
        }, cancellationToken);

    /// <inheritdoc/>
    public Task<JournalOutcome[]> CommitAsync(IReadOnlyList<JournalWrite> writes, CancellationToken cancellationToken)
    {
        JournalLimits.CheckWrites(writes);

        // What only asks must not wait for who writes: a reader sees every epoch that was taken before it began.
        return writes.All(write => write is ConfirmEpoch)
            ? ReadAsync("confirm epochs", session => session.InTransaction("BEGIN", () => MakeAll(session, writes)), cancellationToken)
            : WriteAsync("commit", session => session.InTransaction("BEGIN IMMEDIATE", () => MakeAll(session, writes)), cancellationToken);
    }

    /// <inheritdoc/>
    public Task<IReadOnlyList<JournalInfo>> ListAsync(ContextHandle? after, int limit, CancellationToken cancellationToken)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(limit, 1);
        return ReadAsync<IReadOnlyList<JournalInfo>>("list journals", session =>
        {
            var infos = new List<JournalInfo>();
            session.Read(
                "SELECT handle, epoch, owner FROM journal_contexts WHERE handle > ?1 AND released_at IS NULL ORDER BY handle LIMIT ?2",
                row =>
                {
                    infos.Add(new JournalInfo(SqliteSession.Handle(row.GetFieldValue<byte[]>(0)), row.GetInt64(1), row.GetString(2)));
                    return true;
                },
                after is { } handle ? SqliteSession.Key(handle) : [], Math.Min(limit, JournalLimits.MaxInfos));
            return infos;
        }, cancellationToken);
    }

    /// <inheritdoc/>
    public async Task<int> PurgeAsync(TimeSpan age, CancellationToken cancellationToken)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(age, TimeSpan.Zero);
        for (var sum = 0; ;)
        {
            var purged = await WriteAsync("purge released contexts", session => session.InTransaction("BEGIN IMMEDIATE", () => session.Execute(
                """
                DELETE FROM journal_contexts WHERE handle IN (
                    SELECT handle FROM journal_contexts WHERE released_at <= CAST(unixepoch('subsec') * 1000 AS INTEGER) - ?1 LIMIT ?2)
                """,
                (long)age.TotalMilliseconds, JournalLimits.MaxPurged)), cancellationToken);
            sum += purged;
            if (purged < JournalLimits.MaxPurged)
            {
                return sum;
            }
        }
    }

    /// <inheritdoc/>
    public ValueTask DisposeAsync() => _connections.DisposeAsync();

    private bool Migrate(SqliteSession session)
    {
        session.Execute(SqliteSchema.CreateVersions);
        var version = 0;
        session.Read("SELECT version FROM journal_schema", row =>
        {
            version = row.GetInt32(0);
            return false;
        });
        JournalMigrations.CheckVersion(version, SqliteSchema.Migrations.Length, Description);
        foreach (var step in SqliteSchema.Migrations.AsSpan(version))
        {
            session.Execute(step);
        }

        session.Execute("DELETE FROM journal_schema");
        session.Execute("INSERT INTO journal_schema (version) VALUES (?1)", SqliteSchema.Migrations.Length);
        return true;
    }

    private static JournalHead? Acquire(SqliteSession session, byte[] key, string owner)
    {
        if (session.Execute("UPDATE journal_contexts SET epoch = epoch + 1, owner = ?2 WHERE handle = ?1", key, owner) == 0)
        {
            return null;
        }

        JournalHead? head = null;
        session.Read(
            "SELECT epoch, snapshot_position, frame, released FROM journal_contexts LEFT JOIN journal_snapshots USING (handle) WHERE handle = ?1",
            row =>
            {
                head = new JournalHead(row.GetInt64(0), row.GetInt64(1), Frame(row, 2), Frame(row, 3));
                return false;
            },
            key);
        return head;
    }

    private static JournalOutcome[] MakeAll(SqliteSession session, IReadOnlyList<JournalWrite> writes)
    {
        var outcomes = new JournalOutcome[writes.Count];
        for (var i = 0; i < outcomes.Length; i++)
        {
            outcomes[i] = Make(session, writes[i]);
        }

        return outcomes;
    }

    private static JournalOutcome Make(SqliteSession session, JournalWrite write)
    {
        var key = SqliteSession.Key(write.Handle);
        long? snapshotPosition = null;
        session.Read(
            "SELECT snapshot_position FROM journal_contexts WHERE handle = ?1 AND epoch = ?2 AND released_at IS NULL",
            row =>
            {
                snapshotPosition = row.GetInt64(0);
                return false;
            },
            key, write.Epoch);
        if (snapshotPosition is null)
        {
            return JournalOutcome.Fenced;
        }

        switch (write)
        {
            case AppendRecord append:
                JournalLimits.CheckPlace(append, snapshotPosition.Value);
                session.Execute("INSERT INTO journal_records (handle, position, frame) VALUES (?1, ?2, ?3)", key, append.Position, append.Frame);
                break;

            case StoreSnapshot snapshot:
                JournalLimits.CheckPlace(snapshot, snapshotPosition.Value);
                session.Execute("INSERT INTO journal_snapshots (handle, frame) VALUES (?1, ?2) ON CONFLICT (handle) DO UPDATE SET frame = excluded.frame", key, snapshot.Frame);
                session.Execute("UPDATE journal_contexts SET snapshot_position = ?2 WHERE handle = ?1", key, snapshot.Position);
                session.Execute("DELETE FROM journal_records WHERE handle = ?1 AND position <= ?2", key, snapshot.Position);
                break;

            case ReleaseJournal release:
                session.Execute(
                    "UPDATE journal_contexts SET released = ?2, released_at = CAST(unixepoch('subsec') * 1000 AS INTEGER), snapshot_position = 0 WHERE handle = ?1",
                    key, release.Frame);
                session.Execute("DELETE FROM journal_snapshots WHERE handle = ?1", key);
                session.Execute("DELETE FROM journal_records WHERE handle = ?1", key);
                break;
        }

        return JournalOutcome.Committed;
    }

    private static byte[]? Frame(SqliteDataReader row, int column) => row.IsDBNull(column) ? null : row.GetFieldValue<byte[]>(column);

    private async Task<T> WriteAsync<T>(string operation, Func<SqliteSession, T> write, CancellationToken cancellationToken)
    {
        try
        {
            return await _connections.WriteAsync(write, cancellationToken);
        }
        catch (Exception exception) when (SqliteErrors.IsStores(exception))
        {
            throw SqliteErrors.ToStore(exception, operation, Description, _timeout);
        }
    }

    private async Task<T> ReadAsync<T>(string operation, Func<SqliteSession, T> read, CancellationToken cancellationToken)
    {
        try
        {
            return await _connections.ReadAsync(read, cancellationToken);
        }
        catch (Exception exception) when (SqliteErrors.IsStores(exception))
        {
            throw SqliteErrors.ToStore(exception, operation, Description, _timeout);
        }
    }
}
