using System.Globalization;
using IommuFd.GrainInterfaces;
using IommuFd.Grains.Journaling;
using Microsoft.Data.Sqlite;

namespace IommuFd.Silo.Journals;

/// <summary>One connection to a SQLite store, with its statements prepared once. Used by one thread at a time.</summary>
internal sealed class SqliteSession : IDisposable
{
    private static readonly Lock Creating = new();

    private readonly SqliteConnection _connection;
    private readonly Dictionary<string, SqliteCommand> _prepared = [];

    public SqliteSession(string path, JournalSynchronous synchronous, TimeSpan timeout)
    {
        CreateFile(path);
        _connection = new SqliteConnection(new SqliteConnectionStringBuilder
        {
            DataSource = path,
            Mode = SqliteOpenMode.ReadWrite,
            Pooling = false,

            // SQLite waits for other processes' locks by itself (busy_timeout); behind that, the command tries anew until this has passed as well.
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

    /// <summary>Does something in one transaction. Where it throws, the connection must be disposed of, which rolls back.</summary>
    /// <param name="begin">How it begins.</param>
    /// <param name="body">What to do.</param>
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
            // A frame may be large, the next one is long off.
            parameter.Value = DBNull.Value;
        }

        return changed;
    }

    /// <summary>Runs SQL, and reads its rows until the reading says that it has enough.</summary>
    public void Read(string sql, Func<SqliteDataReader, bool> row, params ReadOnlySpan<object> parameters)
    {
        using var reader = Prepared(sql, parameters).ExecuteReader();
        while (reader.Read() && row(reader))
        {
        }
    }

    /// <summary>Runs SQL that has an integer or nothing.</summary>
    /// <returns>The first column of its first row; null where there is none.</returns>
    public long? ReadInteger(string sql, params ReadOnlySpan<object> parameters)
    {
        using var reader = Prepared(sql, parameters).ExecuteReader();
        return reader.Read() ? reader.GetInt64(0) : null;
    }

    /// <summary>Where the snapshot ends of the journal that a write is for; null where the write is fenced.</summary>
    public long? SnapshotPosition(JournalWrite write, byte[] key)
        => ReadInteger("SELECT snapshot_position FROM journal_contexts WHERE handle = ?1 AND epoch = ?2 AND released_at IS NULL", key, write.Epoch);

    /// <summary>Bytes of a row; null where there are none.</summary>
    public static byte[]? Bytes(SqliteDataReader row, int column) => row.IsDBNull(column) ? null : row.GetFieldValue<byte[]>(column);

    /// <summary>A handle as the store has it: 16 bytes whose order is that of its digits.</summary>
    public static byte[] Key(Guid handle) => handle.ToByteArray(bigEndian: true);

    /// <summary>The handle that a key is of.</summary>
    public static ContextHandle Handle(byte[] key) => new(new Guid(key, bigEndian: true));

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
#pragma warning disable CA2100 // All of it is constant text; what comes from outside comes as parameters.
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

    // SQLite would make the file readable for everybody; its companions (-wal, -shm) get the rights that it has. One at a time: closing a file drops
    // all locks that this process has on it, so nobody may open it as a database while it is open here.
    private static void CreateFile(string path)
    {
        lock (Creating)
        {
            if (File.Exists(path))
            {
                return;
            }

            if (Path.GetDirectoryName(Path.GetFullPath(path)) is { } folder)
            {
                Directory.CreateDirectory(folder);
            }

            var options = new FileStreamOptions { Mode = FileMode.CreateNew, Access = FileAccess.Write };
            if (!OperatingSystem.IsWindows())
            {
                options.UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite;
            }

            try
            {
                File.Open(path, options).Dispose();
            }
            catch (IOException) when (File.Exists(path))
            {
                // Another process was first.
            }
        }
    }
}
