using System.Collections.Concurrent;

namespace IommuFd.Silo.Journals;

// SQLite allows one writer at a time and many readers, which in WAL mode never wait for it. So there is one connection for writes and a few for
// reads. SQLite's calls block their thread, and Orleans' threads must not block: the calls run on the thread pool, at most one per connection.

/// <summary>The connections of a SQLite store, each used by one caller at a time.</summary>
internal sealed class SqliteConnections(string path, JournalSynchronous synchronous, TimeSpan timeout) : IAsyncDisposable
{
    private const int MaxReaders = 4;

    private readonly SemaphoreSlim _writing = new(1);
    private readonly SemaphoreSlim _reading = new(MaxReaders);
    private readonly ConcurrentBag<SqliteSession> _readers = [];
    private SqliteWriter? _writer;
    private bool _disposed;

    /// <summary>Runs an action on the connection for writes, alone in this process.</summary>
    public async Task<T> WriteAsync<T>(Func<SqliteWriter, T> write, CancellationToken cancellationToken)
    {
        await _writing.WaitAsync(cancellationToken);
        try
        {
            return await Task.Run(
                () =>
                {
                    ObjectDisposedException.ThrowIf(_disposed, this);
                    _writer ??= new SqliteWriter(Open());
                    try
                    {
                        return write(_writer);
                    }
                    catch
                    {
                        // The connection may be the cause. Closing it rolls back its transaction.
                        _writer.Dispose();
                        _writer = null;
                        throw;
                    }
                },
                CancellationToken.None);
        }
        finally
        {
            _writing.Release();
        }
    }

    /// <summary>Runs an action on a connection for reads.</summary>
    public async Task<T> ReadAsync<T>(Func<SqliteSession, T> read, CancellationToken cancellationToken)
    {
        await _reading.WaitAsync(cancellationToken);
        try
        {
            return await Task.Run(
                () =>
                {
                    ObjectDisposedException.ThrowIf(_disposed, this);
                    var session = _readers.TryTake(out var idle) ? idle : Open();
                    try
                    {
                        var result = read(session);
                        _readers.Add(session);
                        return result;
                    }
                    catch
                    {
                        session.Dispose();
                        throw;
                    }
                },
                CancellationToken.None);
        }
        finally
        {
            _reading.Release();
        }
    }

    public async ValueTask DisposeAsync()
    {
        // Running actions finish first; later ones get ObjectDisposedException.
        await _writing.WaitAsync();
        for (var i = 0; i < MaxReaders; i++)
        {
            await _reading.WaitAsync();
        }

        _disposed = true;
        _writer?.Dispose();
        _writer = null;
        while (_readers.TryTake(out var reader))
        {
            reader.Dispose();
        }

        _writing.Release();
        _reading.Release(MaxReaders);
    }

    private SqliteSession Open() => new(path, synchronous, timeout);
}
