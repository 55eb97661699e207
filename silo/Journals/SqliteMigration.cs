using System.Buffers.Binary;
using IommuFd.GrainInterfaces;
using IommuFd.Grains.Journaling;

namespace IommuFd.Silo.Journals;

// Up to version 2 the key of a journal was its context's handle. A frame's checksum covers its place, and so each frame is written anew.

/// <summary>Replaces the handles in a SQLite store by their keys, within the transaction that brings it up to date.</summary>
internal static class SqliteMigration
{
    public static void ReplaceHandles(SqliteSession session)
    {
        // From here on, all records are in runs.
        new SqliteTail(session).Sort();
        var handles = new List<byte[]>();
        session.Read("SELECT key FROM journal_contexts", row =>
        {
            handles.Add(row.GetFieldValue<byte[]>(0));
            return true;
        });
        handles.ForEach(handle => Replace(session, handle));
    }

    private static void Replace(SqliteSession session, byte[] earlier)
    {
        var handle = new ContextHandle(new Guid(earlier, bigEndian: true));
        var key = SqliteSession.Key(handle.Key.Value);
        var position = 0L;
        byte[]? snapshot = null, released = null;
        session.Read(
            "SELECT snapshot_position, frame, released FROM journal_contexts LEFT JOIN journal_snapshots USING (key) WHERE key = ?1",
            row =>
            {
                (position, snapshot, released) = (row.GetInt64(0), SqliteSession.Bytes(row, 1), SqliteSession.Bytes(row, 2));
                return false;
            },
            earlier);
        session.Execute("UPDATE journal_contexts SET key = ?2, released = ?3 WHERE key = ?1", earlier, key, OrNull(released, 0));
        session.Execute("UPDATE journal_snapshots SET key = ?2, frame = ?3 WHERE key = ?1", earlier, key, OrNull(snapshot, position));

        var runs = new List<long>();
        session.Read("SELECT position FROM journal_runs WHERE key = ?1", row =>
        {
            runs.Add(row.GetInt64(0));
            return true;
        }, earlier);
        foreach (var run in runs)
        {
            byte[] frames = [];
            byte[]? lengths = null;
            session.Read(
                "SELECT frame, lengths FROM journal_runs WHERE key = ?1 AND position = ?2",
                row =>
                {
                    (frames, lengths) = (row.GetFieldValue<byte[]>(0), SqliteSession.Bytes(row, 1));
                    return false;
                },
                earlier, run);
            session.Execute("UPDATE journal_runs SET key = ?3, frame = ?4 WHERE key = ?1 AND position = ?2", earlier, run, key, Run(handle, run, frames, lengths));
        }

        object OrNull(byte[]? frame, long at) => frame is null ? DBNull.Value : EarlierFrame.ToKey(handle, at, frame);
    }

    // A frame is as long as it was, and so the lengths stay.
    private static byte[] Run(ContextHandle handle, long position, byte[] frames, byte[]? lengths)
    {
        if (lengths is null)
        {
            return EarlierFrame.ToKey(handle, position, frames);
        }

        for (var (i, offset) = (0, 0); i + sizeof(int) <= lengths.Length; i += sizeof(int))
        {
            var length = BinaryPrimitives.ReadInt32LittleEndian(lengths.AsSpan(i));
            if (offset < 0 || length < 0 || offset > frames.Length - length)
            {
                // Damage, which stays what it is.
                break;
            }

            EarlierFrame.ToKey(handle, position++, frames[offset..(offset + length)]).CopyTo(frames, offset);
            offset += length;
        }

        return frames;
    }
}
