using IommuFd.GrainInterfaces;
using IommuFd.Grains.Journaling;
using Npgsql;

namespace IommuFd.Silo.Journals;

// In version 1 the key of a journal was its context's handle. A frame's checksum covers its place, and so each frame is written anew.

/// <summary>Replaces the handles in a PostgreSQL store by their keys, within the transaction that brings it up to date.</summary>
internal static class PostgresMigration
{
    // Records that are in memory at a time.
    private const int PageSize = 100;

    public static async Task ReplaceHandlesAsync(NpgsqlConnection connection, CancellationToken cancellationToken)
    {
        var handles = await ReadAsync(connection, "SELECT key FROM journal_contexts", reader => new ContextHandle(reader.GetGuid(0)), cancellationToken);
        foreach (var handle in handles)
        {
            var (position, snapshot, released) = (await ReadAsync(
                connection,
                "SELECT snapshot_position, frame, released FROM journal_contexts LEFT JOIN journal_snapshots USING (key) WHERE key = $1",
                reader => (reader.GetInt64(0), Frame(reader, 1), Frame(reader, 2)), cancellationToken, handle.Value))[0];
            await using var batch = new NpgsqlBatch(connection);
            Add(batch, "UPDATE journal_contexts SET key = $2, released = $3 WHERE key = $1", handle, 0, released);
            Add(batch, "UPDATE journal_snapshots SET key = $2, frame = $3 WHERE key = $1", handle, position, snapshot);
            await batch.ExecuteNonQueryAsync(cancellationToken);
            await ReplaceRecordsAsync(connection, handle, cancellationToken);
        }
    }

    private static async Task ReplaceRecordsAsync(NpgsqlConnection connection, ContextHandle handle, CancellationToken cancellationToken)
    {
        const string Page = "SELECT position, frame FROM journal_records WHERE key = $1 ORDER BY position LIMIT $2";
        while (await ReadAsync(connection, Page, reader => (Position: reader.GetInt64(0), Frame: Frame(reader, 1)), cancellationToken, handle.Value, PageSize) is { Count: > 0 } page)
        {
            await using var batch = new NpgsqlBatch(connection);
            foreach (var (position, frame) in page)
            {
                Add(batch, "UPDATE journal_records SET key = $2, frame = $3 WHERE key = $1 AND position = $4", handle, position, frame)
                    .Parameters.Add(new NpgsqlParameter { Value = position });
            }

            await batch.ExecuteNonQueryAsync(cancellationToken);
        }
    }

    private static async Task<List<T>> ReadAsync<T>(
        NpgsqlConnection connection, string sql, Func<NpgsqlDataReader, T> read, CancellationToken cancellationToken, params object[] parameters)
    {
#pragma warning disable CA2100 // The text is constant; values from outside are parameters.
        await using var command = new NpgsqlCommand(sql, connection);
#pragma warning restore CA2100
        command.Parameters.AddRange(Array.ConvertAll(parameters, value => new NpgsqlParameter { Value = value }));
        await using var reader = await command.ExecuteReaderAsync(cancellationToken);
        var rows = new List<T>();
        while (await reader.ReadAsync(cancellationToken))
        {
            rows.Add(read(reader));
        }

        return rows;
    }

    private static byte[]? Frame(NpgsqlDataReader reader, int column) => reader.IsDBNull(column) ? null : reader.GetFieldValue<byte[]>(column);

    private static NpgsqlBatchCommand Add(NpgsqlBatch batch, string sql, ContextHandle handle, long position, byte[]? frame)
    {
        var command = new NpgsqlBatchCommand(sql);
        command.Parameters.Add(new NpgsqlParameter { Value = handle.Value });
        command.Parameters.Add(new NpgsqlParameter { Value = handle.Key.Value });
        command.Parameters.Add(new NpgsqlParameter<byte[]?> { TypedValue = frame is null ? null : EarlierFrame.ToKey(handle, position, frame), NpgsqlDbType = NpgsqlTypes.NpgsqlDbType.Bytea });
        batch.BatchCommands.Add(command);
        return command;
    }
}
