using System.Buffers.Binary;
using IommuFd.Grains.Journaling;

namespace IommuFd.Silo.Journals;

// A commit waits for the disk; beyond that it costs the rows and pages that it changes. If records were stored by context, each context of a
// commit would cost a row and a page. So a commit puts all its records into one row of a tail, in order of time. When the tail has grown, its
// oldest records are sorted: many records of one context become one row, a run. Records of active contexts hardly ever are, since by then a
// snapshot has superseded them. A takeover sorts the whole tail first, so that the replay finds its context's records together.
//
// A row of the tail says for each record where it belongs and where its frame lies, so that a damaged byte affects one record and no other.

/// <summary>Writes a SQLite store's records to the tail, sorts the tail into runs, and reads both. Used by one thread at a time.</summary>
internal sealed class SqliteTail(SqliteSession session)
{
    // Large enough that each of a hundred active contexts takes a snapshot before its records are sorted, small enough that sorting all of it
    // holds up no write for long.
    private const int MaxBytes = 32 * 1024 * 1024;

    // The least to sort at a time: a few milliseconds of work.
    private const int SortedBytes = 1024 * 1024;

    // SQLite accepts values below 10^9 bytes. A larger record gets a row of its own.
    private const int MaxRowBytes = 64 * 1024 * 1024;

    // A row is always read whole, even for one of its records.
    private const int MaxRunBytes = 1024 * 1024;

    // Of a record in the tail: handle, position, and its frame's offset and length.
    private const int PlaceBytes = HandleBytes + sizeof(long) + (2 * sizeof(int));
    private const int HandleBytes = 16;

    private readonly List<AppendRecord> _added = [];
    private long _addedBytes;
    private long _bytes;

    /// <summary>Adds a record to the row that the commit writes at its end.</summary>
    public void Add(AppendRecord record)
    {
        if (_addedBytes + record.Frame.Length > MaxRowBytes)
        {
            Flush();
        }

        _added.Add(record);
        _addedBytes += record.Frame.Length;
    }

    /// <summary>Writes the added records, and sorts the oldest if the tail has outgrown its bound.</summary>
    public void End()
    {
        Flush();
        if (_bytes > MaxBytes)
        {
            Sort(Math.Max(SortedBytes, _bytes - MaxBytes));
        }
    }

    /// <summary>Sorts the oldest records into runs, at least this many bytes of them.</summary>
    public void Sort(long bytes = long.MaxValue)
    {
        var records = new Dictionary<Guid, List<TailRecord>>();
        var (sorted, last) = (0L, 0L);
        ReadTail(
            session,
            record =>
            {
                if (!records.TryGetValue(record.Handle, out var ofContext))
                {
                    records.Add(record.Handle, ofContext = []);
                }

                ofContext.Add(record);
                return true;
            },
            (number, rowBytes) =>
            {
                last = number;
                return (sorted += rowBytes) < bytes;
            });
        foreach (var (handle, ofContext) in records.OrderBy(entry => entry.Key))
        {
            WriteRuns(SqliteSession.Key(handle), ofContext);
        }

        if (sorted > 0)
        {
            session.Execute("DELETE FROM journal_tail WHERE number <= ?1", last);
            _bytes = Math.Max(0, _bytes - sorted);
        }
    }

    /// <summary>The position of a context's last sorted record; 0 if it has none.</summary>
    public long LastSorted(byte[] key)
        => session.ReadInteger($"SELECT {SqliteSchema.LastPosition} FROM journal_runs WHERE key = ?1 ORDER BY position DESC LIMIT 1", key) ?? 0;

    /// <summary>Reads a context's records from runs and tail, which must happen in one transaction.</summary>
    public static IReadOnlyList<JournalEntry> Read(SqliteSession session, Guid handle, long after, int maxBytes)
    {
        var key = SqliteSession.Key(handle);
        if (SnapshotPosition(session, key) is not { } snapshotPosition)
        {
            return [];
        }

        var start = Math.Max(after, snapshotPosition);
        var entries = new List<JournalEntry>();
        long bytes = 0;
        var hasRoom = true;
        session.Read(
            """
            SELECT position, frame, lengths FROM journal_runs
            WHERE key = ?1 AND position >= ifnull((SELECT max(position) FROM journal_runs WHERE key = ?1 AND position <= ?2), 0)
            ORDER BY position
            """,
            row => ReadRun(row.GetInt64(0), row.GetFieldValue<byte[]>(1), SqliteSession.Bytes(row, 2), Take),
            key, start);
        if (hasRoom)
        {
            ReadTail(session, record => record.Handle != handle || Take(record.Position, record.Frame));
        }

        return entries;

        bool Take(long position, ReadOnlyMemory<byte> frame)
        {
            if (position > start)
            {
                entries.Add(new JournalEntry(position, frame.ToArray()));
                bytes += frame.Length;
                hasRoom = bytes < maxBytes && entries.Count < JournalLimits.MaxRecords;
            }

            return hasRoom;
        }
    }

    private static long? SnapshotPosition(SqliteSession session, byte[] key)
        => session.ReadInteger("SELECT snapshot_position FROM journal_contexts WHERE key = ?1 AND released_at IS NULL", key);

    private void Flush()
    {
        if (_added.Count == 0)
        {
            return;
        }

        var (places, frames) = (new byte[_added.Count * PlaceBytes], new byte[_addedBytes]);
        var place = places.AsSpan();
        var offset = 0;
        foreach (var record in _added)
        {
            record.Key.Value.TryWriteBytes(place, bigEndian: true, out _);
            BinaryPrimitives.WriteInt64LittleEndian(place[HandleBytes..], record.Position);
            BinaryPrimitives.WriteInt32LittleEndian(place[(HandleBytes + sizeof(long))..], offset);
            BinaryPrimitives.WriteInt32LittleEndian(place[(HandleBytes + sizeof(long) + sizeof(int))..], record.Frame.Length);
            record.Frame.CopyTo(frames, offset);
            place = place[PlaceBytes..];
            offset += record.Frame.Length;
        }

        session.Execute("INSERT INTO journal_tail (places, frames) VALUES (?1, ?2)", places, frames);
        _bytes += places.Length + frames.Length;
        _added.Clear();
        _addedBytes = 0;
    }

    // Stops when take, or at the end of a row takeRow, returns false.
    private static void ReadTail(SqliteSession session, Func<TailRecord, bool> take, Func<long, int, bool>? takeRow = null)
        => session.Read("SELECT number, places, frames FROM journal_tail ORDER BY number", row =>
        {
            var (places, frames) = (row.GetFieldValue<byte[]>(1), row.GetFieldValue<byte[]>(2));
            for (var i = 0; i + PlaceBytes <= places.Length; i += PlaceBytes)
            {
                var place = places.AsSpan(i, PlaceBytes);
                var record = new TailRecord(
                    new Guid(place[..HandleBytes], bigEndian: true),
                    BinaryPrimitives.ReadInt64LittleEndian(place[HandleBytes..]),
                    Slice(
                        frames,
                        BinaryPrimitives.ReadInt32LittleEndian(place[(HandleBytes + sizeof(long))..]),
                        BinaryPrimitives.ReadInt32LittleEndian(place[(HandleBytes + sizeof(long) + sizeof(int))..])));
                if (!take(record))
                {
                    return false;
                }
            }

            return takeRow?.Invoke(row.GetInt64(0), places.Length + frames.Length) ?? true;
        });

    private void WriteRuns(byte[] key, List<TailRecord> records)
    {
        // A context that was released, or purged since, has no runs.
        if (SnapshotPosition(session, key) is not { } snapshotPosition)
        {
            return;
        }

        for (var (from, to) = (0, 0); from < records.Count; from = to)
        {
            var bytes = records[from].Frame.Length;
            for (to = from + 1; to < records.Count && records[to].Position == records[to - 1].Position + 1 && bytes + records[to].Frame.Length <= MaxRunBytes; to++)
            {
                bytes += records[to].Frame.Length;
            }

            if (records[to - 1].Position > snapshotPosition)
            {
                WriteRun(key, records.GetRange(from, to - from), bytes);
            }
        }
    }

    // Two records at one position are impossible, and neither is trusted: the empty frame reads as damage.
    private void WriteRun(byte[] key, List<TailRecord> run, int bytes)
    {
        var (frames, lengths) = (new byte[bytes], new byte[run.Count * sizeof(int)]);
        var length = lengths.AsSpan();
        var offset = 0;
        foreach (var record in run)
        {
            record.Frame.Span.CopyTo(frames.AsSpan(offset));
            BinaryPrimitives.WriteInt32LittleEndian(length, record.Frame.Length);
            length = length[sizeof(int)..];
            offset += record.Frame.Length;
        }

        session.Execute(
            "INSERT INTO journal_runs (key, position, frame, lengths) VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO UPDATE SET frame = x'', lengths = NULL",
            key, run[0].Position, frames, run.Count == 1 ? DBNull.Value : lengths);
    }

    private static bool ReadRun(long position, byte[] frames, byte[]? lengths, Func<long, ReadOnlyMemory<byte>, bool> take)
    {
        if (lengths is null)
        {
            return take(position, frames);
        }

        for (var (i, offset) = (0, 0); i + sizeof(int) <= lengths.Length; i += sizeof(int))
        {
            var length = BinaryPrimitives.ReadInt32LittleEndian(lengths.AsSpan(i));
            if (!take(position++, Slice(frames, offset, length)))
            {
                return false;
            }

            offset = unchecked(offset + length);
        }

        return true;
    }

    // A frame outside the row's bytes is damage; the empty frame returned for it reads as damage too.
    private static ReadOnlyMemory<byte> Slice(byte[] frames, int offset, int length)
        => offset >= 0 && length >= 0 && offset <= frames.Length - length ? frames.AsMemory(offset, length) : default;

    private readonly record struct TailRecord(Guid Handle, long Position, ReadOnlyMemory<byte> Frame);
}
