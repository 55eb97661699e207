using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Security.Cryptography;
using Npgsql;
using Xunit;

namespace IommuFd.TestSupport;

// The server's files are in their own temporary folder, and it listens on loopback only. A guard process waits until this process ends, for
// whatever reason, then stops the server and removes the folder. (What is on a disk in memory goes with the disk.)

/// <summary>
/// A PostgreSQL server for one test assembly, set up with initdb and pg_ctl from Debian's package; commits go to disk as in production.
/// </summary>
public sealed class PostgresServer : IAsyncLifetime, IAsyncDisposable
{
    private const string User = "iommufd";
    private const string SystemUser = "postgres";
    private const string SharedDatabase = "postgres";
    private const string InstallRoot = "/usr/lib/postgresql";
    private const int StartAttempts = 5;

    private readonly string _root;
    private readonly SmallDisk? _disk;
    private readonly string _password = Convert.ToHexString(RandomNumberGenerator.GetBytes(16));
    private string _binaries = "";
    private string _folder = "";
    private Process? _guard;
    private int _names;

    /// <summary>A server of the installed version.</summary>
    public PostgresServer()
        : this(InstallRoot)
    {
    }

    internal PostgresServer(string root) => _root = root;

    /// <summary>A server whose files are on a disk that can be filled. Needs root: the server refuses to be that of a namespace.</summary>
    internal PostgresServer(SmallDisk disk)
        : this(InstallRoot) => _disk = disk;

    /// <summary>The port that it listens on, on 127.0.0.1. A restart keeps it.</summary>
    public int Port { get; private set; }

    private string Data => Path.Combine(_folder, "data");

    /// <inheritdoc/>
    public async Task InitializeAsync()
    {
        _binaries = FindBinaries(_root);
        _folder = _disk?.Folder ?? Directory.CreateTempSubdirectory("iommufd-postgres-").FullName;
        var passwordFile = Path.Combine(_folder, "password");
        await File.WriteAllTextAsync(_disk?.SeenFromOutside(passwordFile) ?? passwordFile, _password);
        if (Environment.IsPrivilegedProcess)
        {
            // The server refuses to run as root.
            await Shell.RunAsync("chown", "-R", SystemUser, _disk?.SeenFromOutside(_folder) ?? _folder);
        }

        _guard = StartGuard();
        await ServerAsync("initdb", "--no-sync", "--username", User, "--auth", "scram-sha-256", "--pwfile", passwordFile, "--encoding", "UTF8", "--locale", "C", "--wal-segsize", _disk is null ? "16" : "1", "--pgdata", Data);
        for (var attempt = 1; ; attempt++)
        {
            Port = FreePort();
            try
            {
                await StartAsync();
                return;
            }
            catch (InvalidOperationException) when (attempt < StartAttempts)
            {
                // Another process took the port.
            }
        }
    }

    /// <summary>Starts it; after <see cref="StopImmediatelyAsync"/>, with what was on disk then.</summary>
    public Task StartAsync()
        => ServerAsync("pg_ctl", "start", "--wait", "--silent", "--pgdata", Data, "--log", Path.Combine(_folder, "log"), "--options",
            $"-c listen_addresses=127.0.0.1 -c port={Port} -c unix_socket_directories={_folder} -c fsync=on -c max_connections=100{(_disk is null ? "" : " -c max_wal_size=32MB -c min_wal_size=16MB")}");

    /// <summary>Stops it like a crash: nothing is written back, and connections break.</summary>
    public Task StopImmediatelyAsync() => ServerAsync("pg_ctl", "stop", "--wait", "--silent", "--mode", "immediate", "--pgdata", Data);

    /// <summary>Whether it runs. A full disk ends it.</summary>
    public async Task<bool> IsUpAsync()
    {
        try
        {
            await ServerAsync("pg_ctl", "status", "--pgdata", Data);
            return true;
        }
        catch (InvalidOperationException)
        {
            return false;
        }
    }

    /// <summary>Whether it answers.</summary>
    public async Task<bool> AnswersAsync()
    {
        try
        {
            await ExecuteAsync("SELECT 1");
            return true;
        }
        catch (NpgsqlException)
        {
            return false;
        }
    }

    /// <summary>Creates an empty database.</summary>
    /// <returns>Its connection string.</returns>
    public async Task<string> CreateDatabaseAsync()
    {
        var name = NextName();
        await ExecuteAsync($"CREATE DATABASE {name}");
        return ConnectionString("public", name);
    }

    /// <summary>Creates an empty schema in a shared database, which is far quicker to create and to recover than a database.</summary>
    /// <returns>Its connection string.</returns>
    public async Task<string> CreateSchemaAsync()
    {
        var name = NextName();
        await ExecuteAsync($"CREATE SCHEMA {name}");
        return ConnectionString(name, SharedDatabase);
    }

    /// <summary>Creates a user who may connect, and nothing else.</summary>
    /// <param name="database">The connection string of a database's owner.</param>
    /// <returns>The user's connection string for that database.</returns>
    public async Task<string> CreateUserAsync(string database)
    {
        // A name that has to be quoted.
        var name = $"{NextName()} \"silo\"";
        await ExecuteAsync($"CREATE ROLE \"{name.Replace("\"", "\"\"", StringComparison.Ordinal)}\" LOGIN PASSWORD '{_password}'");
        return new NpgsqlConnectionStringBuilder(database) { Username = name }.ConnectionString;
    }

    /// <inheritdoc/>
    public async Task DisposeAsync()
    {
        if (_guard is not null)
        {
            _guard.StandardInput.Close();
            await _guard.WaitForExitAsync();
            _guard.Dispose();
            _guard = null;
        }
    }

    async ValueTask IAsyncDisposable.DisposeAsync() => await DisposeAsync();

    private static string FindBinaries(string root)
    {
        var versions = Directory.Exists(root) ? Directory.GetDirectories(root) : [];
        return versions
            .Select(version => Path.Combine(version, "bin"))
            .Where(binaries => File.Exists(Path.Combine(binaries, "initdb")) && File.Exists(Path.Combine(binaries, "pg_ctl")))
            .OrderBy(binaries => binaries.Length).ThenBy(binaries => binaries, StringComparer.Ordinal)
            .LastOrDefault()
            ?? throw new InvalidOperationException($"These tests need PostgreSQL's server, but no {root}/*/bin/initdb exists: run 'make setup', or 'apt-get install postgresql'.");
    }

    private static int FreePort()
    {
        using var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        socket.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        return ((IPEndPoint)socket.LocalEndPoint!).Port;
    }

    private string NextName() => string.Create(CultureInfo.InvariantCulture, $"test_{Interlocked.Increment(ref _names)}");

    private string ConnectionString(string schema, string database) => new NpgsqlConnectionStringBuilder
    {
        Host = "127.0.0.1",
        Port = Port,
        Database = database,
        SearchPath = schema,
        Username = User,
        Password = _password,
    }.ConnectionString;

    private async Task ExecuteAsync(string sql)
    {
        await using var source = NpgsqlDataSource.Create(ConnectionString("public", SharedDatabase) + ";Pooling=false");
#pragma warning disable CA2100 // All names are ours.
        await using var command = source.CreateCommand(sql);
#pragma warning restore CA2100
        await command.ExecuteNonQueryAsync();
    }

    private Task ServerAsync(string program, params string[] arguments)
    {
        string[] command = [.. AsSystemUser(), Path.Combine(_binaries, program), .. arguments];
        return Shell.RunAsync(command[0], command[1..]);
    }

    private string[] AsSystemUser() => [.. _disk?.Entering ?? [], .. Environment.IsPrivilegedProcess ? (string[])["runuser", "-u", SystemUser, "--"] : []];

    private Process StartGuard()
    {
        var start = new ProcessStartInfo("setsid") { RedirectStandardInput = true, WorkingDirectory = Path.GetTempPath() };
        string[] stop = [.. AsSystemUser(), Path.Combine(_binaries, "pg_ctl"), "stop", "--wait", "--silent", "--mode", "immediate", "--pgdata", Data];
        foreach (var argument in (string[])["--wait", "sh", "-c", """folder=$1; shift; cat >/dev/null; "$@" 2>/dev/null; rm -rf -- "$folder" """, "sh", _disk is null ? _folder : Data, .. stop])
        {
            start.ArgumentList.Add(argument);
        }

        return Process.Start(start)!;
    }
}
