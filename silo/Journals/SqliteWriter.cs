using IommuFd.GrainInterfaces;
using IommuFd.Grains.Journaling;

namespace IommuFd.Silo.Journals;

/// <summary>
/// The connection for writes of a SQLite store; each operation is one transaction. Used by one thread at a time. If an operation throws, the
/// caller must dispose the writer, which rolls back and drops its cache.
/// </summary>
internal sealed class SqliteWriter(SqliteSession session) : IDisposable
{
    private const int MaxKnown = 1_000_000;

    private readonly SqliteTail _tail = new(session);

    // Saves each record a look-up, half of its cost. Valid until another connection changes the file, which SQLite reports (PRAGMA
    // data_version); then each journal is looked up once more.
    private readonly Dictionary<Guid, KnownJournal> _known = [];
    private long _version;

    /// <summary>Sets up the file and its tables, and sorts the tail that earlier writers left.</summary>
    public bool Initialize(Action<SqliteSession> setUpFile, Action<SqliteSession> setUpTables)
    {
        setUpFile(session);
        return InTransaction(() =>
        {
            setUpTables(session);
            _tail.Sort();
            return true;
        });
    }

    /// <summary>Creates a journal.</summary>
    public long? Create(ContextKey context, string owner)
        => InTransaction<long?>(() =>
        {
            if (session.Execute(
                "INSERT INTO journal_contexts (key, epoch, owner, snapshot_position) VALUES (?1, 1, ?2, 0) ON CONFLICT DO NOTHING",
                SqliteSession.Key(context.Value), owner) == 0)
            {
                return null;
            }

            Know(context, new KnownJournal(1));
            return 1;
        });

    /// <summary>Takes over a journal.</summary>
    public JournalHead? Acquire(ContextKey context, string owner)
        => InTransaction(() =>
        {
            var key = SqliteSession.Key(context.Value);
            JournalHead? head = null;
            session.Read(
                "SELECT owner FROM journal_contexts WHERE key = ?1",
                row =>
                {
                    head = JournalOwner.MayTake(row.GetString(0), owner) ? null : new JournalHead(0, 0, null, null) { Foreign = row.GetString(0) };
                    return false;
                },
                key);
            if (head is not null || session.Execute("UPDATE journal_contexts SET epoch = epoch + 1, owner = ?2 WHERE key = ?1", key, owner) == 0)
            {
                return head;
            }

            _tail.Sort();
            session.Read(
                "SELECT epoch, snapshot_position, frame, released FROM journal_contexts LEFT JOIN journal_snapshots USING (key) WHERE key = ?1",
                row =>
                {
                    head = new JournalHead(row.GetInt64(0), row.GetInt64(1), SqliteSession.Bytes(row, 2), SqliteSession.Bytes(row, 3));
                    return false;
                },
                key);
            _known.Remove(context.Value);
            if (head is { Released: null })
            {
                Know(context, new KnownJournal(head.Epoch) { Last = _tail.LastSorted(key) });
            }

            return head;
        });

    /// <summary>Makes the writes of a commit.</summary>
    public JournalOutcome[] Commit(IReadOnlyList<JournalWrite> writes)
        => InTransaction(() =>
        {
            _version = session.ReadInteger("PRAGMA data_version")!.Value;
            var outcomes = new JournalOutcome[writes.Count];
            for (var i = 0; i < outcomes.Length; i++)
            {
                outcomes[i] = Make(writes[i]);
            }

            _tail.End();
            return outcomes;
        });

    /// <summary>Deletes released contexts.</summary>
    public int Purge(TimeSpan age)
        => InTransaction(() =>
        {
            // Their records in the tail must not pass to a later journal of the same context.
            _tail.Sort();
            return session.Execute(
                """
                DELETE FROM journal_contexts WHERE key IN (
                    SELECT key FROM journal_contexts WHERE released_at <= CAST(unixepoch('subsec') * 1000 AS INTEGER) - ?1 LIMIT ?2)
                """,
                (long)age.TotalMilliseconds, JournalLimits.MaxPurged);
        });

    /// <summary>Writes a journal and deletes it. SQLite logs the pages that a commit has touched, also where they are as before.</summary>
    public bool Probe()
        => InTransaction(() =>
        {
            var key = SqliteSession.Key(Guid.NewGuid());
            session.Execute("INSERT INTO journal_contexts (key, epoch, owner, snapshot_position) VALUES (?1, 0, '', 0)", key);
            return session.Execute("DELETE FROM journal_contexts WHERE key = ?1", key) == 1;
        });

    public void Dispose() => session.Dispose();

    // A writer takes the file's lock at the start; later, SQLite might refuse it because what was read is out of date.
    private T InTransaction<T>(Func<T> body) => session.InTransaction("BEGIN IMMEDIATE", body);

    private JournalOutcome Make(JournalWrite write)
    {
        if (Find(write) is not { } journal)
        {
            return JournalOutcome.Fenced;
        }

        JournalLimits.CheckPlace(write, journal.SnapshotPosition);
        switch (write)
        {
            case AppendRecord append:
                journal.Take(append);
                _tail.Add(append);
                break;

            case StoreSnapshot snapshot:
                journal.SnapshotPosition = snapshot.Position;
                Store(snapshot);
                break;

            case ReleaseJournal release:
                _known.Remove(release.Key.Value);
                Release(release);
                break;
        }

        return JournalOutcome.Committed;
    }

    /// <summary>The write's journal; null if the write is fenced.</summary>
    private KnownJournal? Find(JournalWrite write)
    {
        if (_known.TryGetValue(write.Key.Value, out var journal) && journal.Version == _version)
        {
            return journal.Epoch == write.Epoch ? journal : null;
        }

        var key = SqliteSession.Key(write.Key.Value);
        if (session.SnapshotPosition(write, key) is not { } snapshotPosition)
        {
            return null;
        }

        if (journal?.Epoch != write.Epoch)
        {
            // Its last record may be in the tail, which has no index.
            _tail.Sort();
            journal = new KnownJournal(write.Epoch) { Last = _tail.LastSorted(key) };
            Know(write.Key, journal);
        }

        (journal.SnapshotPosition, journal.Version) = (snapshotPosition, _version);
        return journal;
    }

    private void Know(ContextKey context, KnownJournal journal)
    {
        if (_known.Count >= MaxKnown)
        {
            // Many of these journals belong to other silos by now. The active ones are looked up again.
            _known.Clear();
        }

        _known[context.Value] = journal;
    }

    private void Store(StoreSnapshot snapshot)
    {
        var key = SqliteSession.Key(snapshot.Key.Value);
        session.Execute("INSERT INTO journal_snapshots (key, frame) VALUES (?1, ?2) ON CONFLICT (key) DO UPDATE SET frame = excluded.frame", key, snapshot.Frame);
        session.Execute("UPDATE journal_contexts SET snapshot_position = ?2 WHERE key = ?1", key, snapshot.Position);
        session.Execute($"DELETE FROM journal_runs WHERE key = ?1 AND position <= ?2 AND {SqliteSchema.LastPosition} <= ?2", key, snapshot.Position);
    }

    private void Release(ReleaseJournal release)
    {
        var key = SqliteSession.Key(release.Key.Value);
        session.Execute(
            "UPDATE journal_contexts SET released = ?2, released_at = CAST(unixepoch('subsec') * 1000 AS INTEGER), snapshot_position = 0 WHERE key = ?1",
            key, release.Frame);
        session.Execute("DELETE FROM journal_snapshots WHERE key = ?1", key);
        session.Execute("DELETE FROM journal_runs WHERE key = ?1", key);
    }

    /// <summary>An open journal in an epoch that has written here. No other connection writes in it: an epoch belongs to one activation.</summary>
    private sealed class KnownJournal(long epoch)
    {
        public long Epoch => epoch;

        public long SnapshotPosition { get; set; }

        /// <summary>The position of the last record.</summary>
        public long Last { get; set; }

        /// <summary>The file's version at the last look-up; -1 before the first.</summary>
        public long Version { get; set; } = -1;

        public void Take(AppendRecord append)
        {
            if (append.Position <= Last)
            {
                throw new JournalStoreException(
                    $"Context {append.Key.Tag} already has a record at position {append.Position} or later: a bug of the writer.");
            }

            Last = append.Position;
        }
    }
}
