using IommuFd.GrainInterfaces;
using IommuFd.Grains.Journaling;
using IommuFd.Silo.Journals.Files;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;

namespace IommuFd.Silo.Journals;

// The file is in WAL mode: a commit appends to the log and, by default, waits until that is on disk. SQLite's lock for writes orders changes
// of epochs and the writes under them, across all processes that share the file; fencing here is no more than that.

/// <summary>Stores journals in a SQLite file, for the silos of one machine. Thread-safe; several stores, in several processes, may share a file.</summary>
public sealed class SqliteJournalStore : IJournalStore
{
    private readonly SqliteConnections _connections;
    private readonly TimeSpan _timeout;
    private readonly string _path;
    private readonly string? _claimant;
    private readonly ILogger _logger;
    private SqliteFileClaim? _claim;
    private bool _isRunning;

    /// <summary>Configures the store; <see cref="InitializeAsync"/> opens the file.</summary>
    /// <param name="settings">The file, and how to use it.</param>
    /// <param name="claimant">The silo that shares the file with no other, for people; null where silos may share it.</param>
    /// <param name="logger">Logs what was wrong with the file.</param>
    public SqliteJournalStore(JournalSettings settings, string? claimant = null, ILogger<SqliteJournalStore>? logger = null)
    {
        ArgumentNullException.ThrowIfNull(settings);
        _logger = logger ?? NullLogger<SqliteJournalStore>.Instance;
        (_path, _claimant) = (Path.GetFullPath(settings.Path), claimant);
        _timeout = settings.Timeout;
        _connections = new SqliteConnections(_path, settings.Synchronous, settings.Timeout);
        Description = $"SQLite file {_path}";
    }

    /// <inheritdoc/>
    public string Description { get; }

    /// <inheritdoc/>
    public async Task InitializeAsync(CancellationToken cancellationToken)
    {
        await GuardAsync("use its file", () =>
        {
            FilePermissions.Mend(_path, _logger);
            return Task.CompletedTask;
        });
        _claim ??= _claimant is null ? null : SqliteFileClaim.Take(_path, _claimant);
        await GuardAsync("set up its tables", async () =>
        {
            using var state = await FileState.LockAsync(_path, _timeout);
            state.CheckLog();
            await _connections.WriteAsync(writer => writer.Initialize(UseLog, Migrate), cancellationToken);
            _connections.Keep([FileState.LogOf(_path), $"{_path}-shm", .. _claim is null ? [] : (string[])[SqliteFileClaim.PathOf(_path)]]);
            state.SetRunning();
            _isRunning = true;
        });
    }

    /// <inheritdoc/>
    public Task<long?> CreateAsync(ContextKey key, string owner, CancellationToken cancellationToken)
    {
        JournalLimits.CheckOwner(owner);
        return WriteAsync("create a journal", writer => writer.Create(key, owner), cancellationToken);
    }

    /// <inheritdoc/>
    public Task<JournalHead?> AcquireAsync(ContextKey key, string owner, CancellationToken cancellationToken)
    {
        JournalLimits.CheckOwner(owner);
        return WriteAsync("take over a journal", writer => writer.Acquire(key, owner), cancellationToken);
    }

    /// <inheritdoc/>
    public Task<IReadOnlyList<JournalEntry>> ReadAsync(ContextKey key, long after, int maxBytes, CancellationToken cancellationToken)
        => ReadAsync("read a journal", session => session.InTransaction("BEGIN", () => SqliteTail.Read(session, key.Value, after, maxBytes)), cancellationToken);

    /// <inheritdoc/>
    public Task<JournalOutcome[]> CommitAsync(IReadOnlyList<JournalWrite> writes, CancellationToken cancellationToken)
    {
        JournalLimits.CheckWrites(writes);

        // Confirmations must not wait for the writer: a reader sees every epoch taken before it began.
        return writes.All(write => write is ConfirmEpoch)
            ? ReadAsync("confirm epochs", session => session.InTransaction("BEGIN", () => Confirm(session, writes)), cancellationToken)
            : WriteAsync("commit", writer => writer.Commit(writes), cancellationToken);
    }

    /// <inheritdoc/>
    public Task<IReadOnlyList<JournalInfo>> ListAsync(ContextKey? after, int limit, CancellationToken cancellationToken)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(limit, 1);
        return ReadAsync<IReadOnlyList<JournalInfo>>("list journals", session =>
        {
            var infos = new List<JournalInfo>();
            session.Read(
                "SELECT key, epoch, owner FROM journal_contexts WHERE key > ?1 AND released_at IS NULL ORDER BY key LIMIT ?2",
                row =>
                {
                    infos.Add(new JournalInfo(SqliteSession.ContextOf(row.GetFieldValue<byte[]>(0)), row.GetInt64(1), row.GetString(2)));
                    return true;
                },
                after is { } context ? SqliteSession.Key(context.Value) : [], Math.Min(limit, JournalLimits.MaxInfos));
            return infos;
        }, cancellationToken);
    }

    /// <inheritdoc/>
    public async Task<int> PurgeAsync(TimeSpan age, CancellationToken cancellationToken)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(age, TimeSpan.Zero);
        for (var sum = 0; ;)
        {
            var purged = await WriteAsync("purge released contexts", writer => writer.Purge(age), cancellationToken);
            sum += purged;
            if (purged < JournalLimits.MaxPurged)
            {
                return sum;
            }
        }
    }

    /// <inheritdoc/>
    public Task ProbeAsync(CancellationToken cancellationToken) => WriteAsync("write", writer => writer.Probe(), cancellationToken);

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        try
        {
            await CloseAsync();
        }
        finally
        {
            await _connections.DisposeAsync();
            _claim?.Dispose();
        }
    }

    private async Task CloseAsync()
    {
        if (!_isRunning)
        {
            return;
        }

        _isRunning = false;
        try
        {
            using var state = await FileState.LockAsync(_path, _timeout);
            state.SetClosing();
            await _connections.DisposeAsync();
            state.SetLeft();
        }
        catch (Exception exception) when (SqliteErrors.IsStores(exception))
        {
            _logger.FileNotClosed(exception, Description, exception.Message);
        }
    }

    private void UseLog(SqliteSession session)
        => session.Read("PRAGMA journal_mode = WAL", row => row.GetString(0) == "wal"
            ? true
            : throw new JournalStoreException($"{Description} can't have a write-ahead log, because its file system has no shared memory: move it to a local disk."));

    private void Migrate(SqliteSession session)
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

        if (version < SqliteSchema.KeyedVersion)
        {
            SqliteMigration.ReplaceHandles(session);
        }

        session.Execute("DELETE FROM journal_schema");
        session.Execute("INSERT INTO journal_schema (version) VALUES (?1)", SqliteSchema.Migrations.Length);
    }

    private static JournalOutcome[] Confirm(SqliteSession session, IReadOnlyList<JournalWrite> writes)
        => [.. writes.Select(write => session.SnapshotPosition(write, SqliteSession.Key(write.Key.Value)) is null ? JournalOutcome.Fenced : JournalOutcome.Committed)];

    private Task<T> WriteAsync<T>(string operation, Func<SqliteWriter, T> write, CancellationToken cancellationToken)
        => GuardAsync(operation, () => _connections.WriteAsync(write, cancellationToken));

    private Task<T> ReadAsync<T>(string operation, Func<SqliteSession, T> read, CancellationToken cancellationToken)
        => GuardAsync(operation, () => _connections.ReadAsync(read, cancellationToken));

    private Task<bool> GuardAsync(string operation, Func<Task> run) => GuardAsync(operation, async () =>
    {
        await run();
        return true;
    });

    private async Task<T> GuardAsync<T>(string operation, Func<Task<T>> run)
    {
        try
        {
            return await run();
        }
        catch (Exception exception) when (SqliteErrors.IsStores(exception))
        {
            throw SqliteErrors.ToStore(exception, operation, Description, _timeout);
        }
    }
}
