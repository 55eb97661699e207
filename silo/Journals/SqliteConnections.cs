using System.Collections.Concurrent;

using IommuFd.Silo.Journals.Files;

namespace IommuFd.Silo.Journals;

// SQLite allows one writer at a time and many readers, which in WAL mode never wait for it. So there is one connection for writes and a few for
// reads. SQLite's calls block their thread, and Orleans' threads must not block: the calls run on the thread pool, at most one per connection.
//
// One more connection does nothing but keep the files open: without it, SQLite would delete its log whenever the others are closed after a failure,
// and begin another one.

/// <summary>The connections of a SQLite store, each used by one caller at a time.</summary>
internal sealed class SqliteConnections(string path, JournalSynchronous synchronous, TimeSpan timeout) : IAsyncDisposable
{
    private const int MaxReaders = 4;

    private readonly SemaphoreSlim _writing = new(1);
    private readonly SemaphoreSlim _reading = new(MaxReaders);
    private readonly ConcurrentBag<SqliteSession> _readers = [];
    private readonly OpenFiles _files = new(TimeProvider.System);
    private readonly Lock _opening = new();
    private SqliteWriter? _writer;
    private SqliteSession? _keeper;
    private bool _isOpen;
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

                    // If they are gone, what is open stays open: it may be all that is left of them.
                    _files.Check();
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
                    _files.Check();
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

    /// <summary>Keeps the files open, and from now on makes sure that they are where they are.</summary>
    /// <param name="companions">Further files that must stay.</param>
    public void Keep(IEnumerable<string> companions)
    {
        if (_keeper is not null)
        {
            return;
        }

        _keeper = Open();
        foreach (var file in companions)
        {
            _files.Add(file);
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
        _keeper?.Dispose();
        _keeper = null;
        while (_readers.TryTake(out var reader))
        {
            reader.Dispose();
        }

        _writing.Release();
        _reading.Release(MaxReaders);
    }

    private SqliteSession Open()
    {
        lock (_opening)
        {
            if (!_isOpen)
            {
                PrivateFile.Create(path);
                _files.Add(path);
                _isOpen = true;
            }
        }

        _files.CheckNow();
        var session = new SqliteSession(path, synchronous, timeout);
        try
        {
            // Opens the log too. Had another file taken a path in this moment, that would be open now.
            session.Read("SELECT count(*) FROM sqlite_schema", _ => true);
            _files.CheckNow();
            return session;
        }
        catch
        {
            session.Dispose();
            throw;
        }
    }
}
