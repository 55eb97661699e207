using System.Globalization;
using IommuFd.GrainInterfaces;
using IommuFd.Grains.Journaling;
using Microsoft.Data.Sqlite;

namespace IommuFd.Silo.Journals;

/// <summary>One connection to a SQLite store, with its statements prepared once. Used by one thread at a time.</summary>
internal sealed class SqliteSession : IDisposable
{

    private readonly SqliteConnection _connection;
    private readonly Dictionary<string, SqliteCommand> _prepared = [];

    public SqliteSession(string path, JournalSynchronous synchronous, TimeSpan timeout)
    {
        _connection = new SqliteConnection(new SqliteConnectionStringBuilder
        {
            DataSource = path,
            Mode = SqliteOpenMode.ReadWrite,
            Pooling = false,

            // SQLite itself waits for other processes' locks (busy_timeout); after that the command retries until this time has passed too.
            DefaultTimeout = Math.Max(1, (int)timeout.TotalSeconds),
        }.ConnectionString);
        try
        {
            _connection.Open();
            var milliseconds = ((int)timeout.TotalMilliseconds).ToString(CultureInfo.InvariantCulture);
            var level = synchronous == JournalSynchronous.Full ? "FULL" : "NORMAL";
            Execute($"PRAGMA busy_timeout = {milliseconds}; PRAGMA synchronous = {level}; PRAGMA journal_size_limit = {64 * 1024 * 1024}");
        }
        catch
        {
            _connection.Dispose();
            throw;
        }
    }

    /// <summary>Runs an action in one transaction. If it throws, the caller must dispose the connection, which rolls back.</summary>
    /// <param name="begin">The statement that begins the transaction.</param>
    /// <param name="body">The action.</param>
    public T InTransaction<T>(string begin, Func<T> body)
    {
        Execute(begin);
        var result = body();
        Execute("COMMIT");
        return result;
    }

    /// <summary>Runs SQL with parameters ?1, ?2 and so on.</summary>
    /// <returns>How many rows it changed.</returns>
    public int Execute(string sql, params ReadOnlySpan<object> parameters)
    {
        var command = Prepared(sql, parameters);
        var changed = command.ExecuteNonQuery();
        foreach (SqliteParameter parameter in command.Parameters)
        {
            // A frame may be large, and the next use far off.
            parameter.Value = DBNull.Value;
        }

        return changed;
    }

    /// <summary>Runs SQL and reads its rows until <paramref name="row"/> returns false.</summary>
    public void Read(string sql, Func<SqliteDataReader, bool> row, params ReadOnlySpan<object> parameters)
    {
        using var reader = Prepared(sql, parameters).ExecuteReader();
        while (reader.Read() && row(reader))
        {
        }
    }

    /// <summary>Runs SQL that returns an integer or no row.</summary>
    /// <returns>The first column of the first row; null if there is none.</returns>
    public long? ReadInteger(string sql, params ReadOnlySpan<object> parameters)
    {
        using var reader = Prepared(sql, parameters).ExecuteReader();
        return reader.Read() ? reader.GetInt64(0) : null;
    }

    /// <summary>The snapshot position of the write's journal; null if the write is fenced.</summary>
    public long? SnapshotPosition(JournalWrite write, byte[] key)
        => ReadInteger("SELECT snapshot_position FROM journal_contexts WHERE key = ?1 AND epoch = ?2 AND released_at IS NULL", key, write.Epoch);

    /// <summary>A column's bytes; null if it has none.</summary>
    public static byte[]? Bytes(SqliteDataReader row, int column) => row.IsDBNull(column) ? null : row.GetFieldValue<byte[]>(column);

    /// <summary>A context as the store keeps it: 16 bytes that sort like its digits.</summary>
    public static byte[] Key(Guid context) => context.ToByteArray(bigEndian: true);

    /// <summary>The context of a key.</summary>
    public static ContextKey ContextOf(byte[] key) => new(new Guid(key, bigEndian: true));

    public void Dispose()
    {
        foreach (var command in _prepared.Values)
        {
            command.Dispose();
        }

        _connection.Dispose();
    }

    private SqliteCommand Prepared(string sql, ReadOnlySpan<object> parameters)
    {
        if (!_prepared.TryGetValue(sql, out var command))
        {
            command = _connection.CreateCommand();
#pragma warning disable CA2100 // The text is constant; values from outside are parameters.
            command.CommandText = sql;
#pragma warning restore CA2100
            for (var i = 1; i <= parameters.Length; i++)
            {
                command.Parameters.Add(new SqliteParameter { ParameterName = $"?{i}" });
            }

            _prepared.Add(sql, command);
        }

        for (var i = 0; i < parameters.Length; i++)
        {
            command.Parameters[i].Value = parameters[i];
        }

        return command;
    }
}
