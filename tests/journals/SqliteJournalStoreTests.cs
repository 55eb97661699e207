using System.Diagnostics;
using System.Globalization;
using IommuFd.GrainInterfaces;
using IommuFd.Grains.Journaling;
using IommuFd.Silo;
using IommuFd.Silo.Journals;
using IommuFd.TestSupport;
using Microsoft.Data.Sqlite;
using Xunit.Abstractions;

namespace IommuFd.JournalTests;

/// <summary>What SQLite has to do beyond what every store must.</summary>
public sealed class SqliteJournalStoreTests(ITestOutputHelper output) : JournalStoreTests(output)
{
    private static readonly TimeSpan Limit = TimeSpan.FromMinutes(2);

    [Fact]
    public async Task A_process_that_is_killed_in_the_middle_of_commits_loses_nothing_that_it_had_reported()
    {
        var reports = new Reports(enough: 3000);
        using (var child = new Process { StartInfo = new ProcessStartInfo("dotnet", [typeof(JournalWriter).Assembly.Location, "write", Place.Settings.Path]) { RedirectStandardOutput = true, RedirectStandardError = true } })
        {
            child.OutputDataReceived += (_, line) =>
            {
                if (line.Data is { } text && JournalWriter.Parse(text) is { } report)
                {
                    reports.Add(report.Key, report.Position);
                }
            };
            child.Start();
            child.BeginOutputReadLine();
            var errors = child.StandardError.ReadToEndAsync();
            using var limit = new CancellationTokenSource(Limit);
            var ended = child.WaitForExitAsync(limit.Token);
            Assert.True(await Task.WhenAny(reports.Enough, ended) == reports.Enough, ended.IsCompletedSuccessfully ? await errors : "too few writes");
            child.Kill();
            await ended;
        }

        await AllReportedIsThereAsync(Store, reports.All);
        Assert.Equal("ok", await Place.QueryAsync("PRAGMA integrity_check"));
    }

    [Fact]
    public async Task Commits_wait_for_the_disk_unless_the_setting_says_otherwise()
    {
        var path = Path.Combine(Path.GetDirectoryName(Place.Settings.Path)!, "session.db");
        foreach (var (setting, level) in new[] { (JournalSynchronous.Full, 2L), (JournalSynchronous.Normal, 1L) })
        {
            PrivateFile.Create(path);
            using var session = new SqliteSession(path, setting, TimeSpan.FromSeconds(1));
            var found = -1L;
            session.Read("PRAGMA synchronous", row =>
            {
                found = row.GetInt64(0);
                return false;
            });
            Assert.Equal(level, found);
        }

        Assert.Equal("wal", await Place.QueryAsync("PRAGMA journal_mode"));
    }

    [Fact]
    public void The_file_is_for_the_silos_user_only()
    {
        if (!OperatingSystem.IsWindows())
        {
            var (file, log) = (Place.Settings.Path, Place.Settings.Path + "-wal");
            Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(file));
            Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(log));
        }
    }

    [Fact]
    public async Task A_lock_that_another_process_holds_is_waited_for_as_long_as_the_setting_says()
    {
        var key = await CreateAsync();
        await using var store = Place.OpenStore(new JournalSettings { Path = Place.Settings.Path, Timeout = TimeSpan.FromMilliseconds(100) });
        await using var other = await Place.ConnectAsync();
        await using (var transaction = ((SqliteConnection)other).BeginTransaction(deferred: false))
        {
            var exception = await Assert.ThrowsAsync<JournalStoreException>(() => store.AcquireAsync(key, Owner, default));
            Assert.Contains("another process has held the file's lock for longer than 0.1 s", exception.Message, StringComparison.Ordinal);

            // Who only reads waits for nobody.
            Assert.Equal(JournalOutcome.Committed, await CommitAsync(store, new ConfirmEpoch(key, 1)));
            Assert.Empty(await ReadAllAsync(store, key));

            var waiting = Store.AcquireAsync(key, Owner, default);
            Assert.False(waiting.IsCompleted);
            await transaction.CommitAsync();
            Assert.Equal(2, (await waiting)!.Epoch);
        }

        Assert.Equal(3, (await store.AcquireAsync(key, Owner, default))!.Epoch);
    }

    [Fact]
    public async Task A_folder_that_is_not_there_is_made()
    {
        var path = Path.Combine(Path.GetDirectoryName(Place.Settings.Path)!, "a", "b", "journal.db");
        await using var store = Place.OpenStore(new JournalSettings { Path = path });

        await store.InitializeAsync(default);

        Assert.True(File.Exists(path));
        Assert.Equal($"SQLite file {path}", store.Description);
    }

    [Fact]
    public async Task A_file_that_is_no_database_is_named_and_left_alone()
    {
        var path = Path.Combine(Path.GetDirectoryName(Place.Settings.Path)!, "notes.txt");
        var text = string.Concat(Enumerable.Repeat("This is no database. ", 100));
        await File.WriteAllTextAsync(path, text);
        await using var store = Place.OpenStore(new JournalSettings { Path = path });

        var exception = await Assert.ThrowsAsync<JournalStoreException>(() => store.InitializeAsync(default));

        Assert.Equal($"SQLite file {path} could not set up its tables: the file is not a SQLite database.", exception.Message);
        Assert.Equal(text, await File.ReadAllTextAsync(path));
    }

    [Fact]
    public async Task A_path_that_can_not_be_a_file_is_named()
    {
        var path = Path.Combine(Place.Settings.Path, "journal.db");
        await using var store = Place.OpenStore(new JournalSettings { Path = path });

        var exception = await Assert.ThrowsAsync<JournalStoreException>(() => store.InitializeAsync(default));

        Assert.Contains(path, exception.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_full_disk_fails_the_commit_and_leaves_what_was_there()
    {
        var key = await CreateAsync();
        await AppendAsync(key, 1, 1, [1]);
        var pages = Convert.ToInt64(await Place.QueryAsync("PRAGMA page_count"), CultureInfo.InvariantCulture);
        using var session = new SqliteSession(Place.Settings.Path, JournalSynchronous.Full, TimeSpan.FromSeconds(10));
        session.Read($"PRAGMA max_page_count = {pages}", _ => false);

        var full = Assert.Throws<SqliteException>(() => session.Execute("INSERT INTO journal_runs (key, position, frame) VALUES (?1, 2, ?2)", SqliteSession.Key(key.Value), new byte[1 << 20]));

        Assert.EndsWith("could not commit: the disk is full.", SqliteErrors.ToStore(full, "commit", "the file", TimeSpan.Zero).Message, StringComparison.Ordinal);
        Assert.Equal(1, Assert.Single(await ReadAllAsync(Store, key)).Position);
        await AppendAsync(key, 1, 2, [2]);
    }

    [Fact]
    public async Task A_file_of_the_first_version_is_brought_up_to_date_with_all_that_is_in_it()
    {
        var path = Path.Combine(Path.GetDirectoryName(Place.Settings.Path)!, "first.db");
        var handle = new ContextHandle(Guid.ParseExact("27206f7220313d31202d2d0000000000", "N"));
        var (key, earlier) = (handle.Key, SqliteSession.Key(handle.Value));
        PrivateFile.Create(path);
        using (var session = new SqliteSession(path, JournalSynchronous.Full, TimeSpan.FromSeconds(1)))
        {
            session.Execute(SqliteSchema.CreateVersions);
            session.Execute("INSERT INTO journal_schema (version) VALUES (1)");
            session.Execute(SqliteSchema.Migrations[0]);
            session.Execute("INSERT INTO journal_contexts (handle, epoch, owner, snapshot_position) VALUES (?1, 4, 'silo-1', 1)", earlier);
            session.Execute("INSERT INTO journal_snapshots (handle, frame) VALUES (?1, x'10')", earlier);
            session.Execute("INSERT INTO journal_records (handle, position, frame) VALUES (?1, 2, x'02'), (?1, 3, x'0303')", earlier);
        }

        await using var store = Place.OpenStore(new JournalSettings { Path = path });
        await store.InitializeAsync(default);

        Assert.Equal(JournalOutcome.Committed, await CommitAsync(store, new AppendRecord(key, 4, 4, [4])));
        Assert.Equal([[2], [3, 3], [4]], (await ReadAllAsync(store, key)).Select(entry => entry.Frame));
        var head = (await store.AcquireAsync(key, Owner, default))!;
        Assert.Equal((5L, 1L, (byte)0x10), (head.Epoch, head.SnapshotPosition, Assert.Single(head.Snapshot!)));
        Assert.Equal([[2], [3, 3], [4]], (await ReadAllAsync(store, key)).Select(entry => entry.Frame));
    }

    [Fact]
    public async Task Handles_in_the_tail_and_in_runs_are_replaced_by_their_keys()
    {
        var path = Path.Combine(Path.GetDirectoryName(Place.Settings.Path)!, "tail.db");
        ContextHandle[] handles = [ContextHandle.NewRandom(), ContextHandle.NewRandom()];
        PrivateFile.Create(path);
        using (var session = new SqliteSession(path, JournalSynchronous.Full, TimeSpan.FromSeconds(1)))
        {
            session.Execute(SqliteSchema.CreateVersions);
            session.Execute("INSERT INTO journal_schema (version) VALUES (2)");
            session.Execute(SqliteSchema.Migrations[0]);
            session.Execute(SqliteSchema.Migrations[1]);
            var tail = new SqliteTail(session);
            foreach (var handle in handles)
            {
                var earlier = SqliteSession.Key(handle.Value);
                var (first, second) = (Frame(handle.Value, 1), Frame(handle.Value, 2));
                session.Execute("INSERT INTO journal_contexts (handle, epoch, owner, snapshot_position) VALUES (?1, 1, 'silo-1', 0)", earlier);
                session.Execute(
                    "INSERT INTO journal_runs (handle, position, frame, lengths) VALUES (?1, 1, ?2, ?3)",
                    earlier, (byte[])[.. first, .. second], (byte[])[(byte)first.Length, 0, 0, 0, (byte)second.Length, 0, 0, 0]);
                tail.Add(new AppendRecord(new ContextKey(handle.Value), 1, 3, Frame(handle.Value, 3)));
            }

            tail.End();
        }

        await using var store = Place.OpenStore(new JournalSettings { Path = path });
        await store.InitializeAsync(default);

        foreach (var handle in handles)
        {
            Assert.Equal([1, 2, 3], (await ReadAllAsync(store, handle.Key)).Select(entry => ContentOf(handle.Key, entry.Position, entry.Frame)));
        }
    }

    [Theory]
    [InlineData("places", 24, "the place where a frame begins")]
    [InlineData("places", 28, "the length of a frame")]
    [InlineData("frames", 3, "a frame")]
    public async Task Damage_in_the_tail_is_about_one_record_only(string column, int offset, string what)
    {
        // Of three records in one row, the second is hit: its place begins at 32, its frame at 8.
        ContextKey[] keys = [await CreateAsync(), await CreateAsync(), await CreateAsync()];
        await Store.CommitAsync([.. keys.Select((key, i) => new AppendRecord(key, 1, 1, [.. Enumerable.Repeat((byte)i, 8)]))], default);
        var row = (byte[])(await Place.QueryAsync($"SELECT {column} FROM journal_tail"))!;
        row[(column == "places" ? 32 : 8) + offset] ^= 0x80;
        await Place.ExecuteAsync($"UPDATE journal_tail SET {column} = @row", ("row", row));

        foreach (var isSorted in (bool[])[false, true])
        {
            if (isSorted)
            {
                await Store.AcquireAsync(keys[0], Owner, default);
                Assert.Equal(0L, await Place.QueryAsync("SELECT count(*) FROM journal_tail"));
            }

            for (var i = 0; i < keys.Length; i++)
            {
                var frame = Assert.Single(await ReadAllAsync(Store, keys[i])).Frame;
                Assert.True(frame.SequenceEqual(Enumerable.Repeat((byte)i, 8)) == (i != 1), $"with {what} damaged, sorted: {isSorted}, record {i} is {Convert.ToHexString(frame)}");
            }
        }
    }

    [Fact]
    public async Task The_oldest_of_a_long_tail_is_sorted_and_runs_of_a_context_are_read_in_pieces()
    {
        const int Rounds = 45;
        const int Bytes = 450_000;
        ContextKey[] keys = [await CreateAsync(), await CreateAsync()];
        for (var position = 1; position <= Rounds; position++)
        {
            await Store.CommitAsync([.. keys.Select(key => new AppendRecord(key, 1, position, [.. Enumerable.Repeat((byte)position, Bytes)]))], default);
        }

        var (tail, runs) = (await CountAsync("journal_tail"), await CountAsync("journal_runs"));
        Assert.True(tail is > 0 and < Rounds, $"{tail} commits of {Rounds} are in the tail.");
        Assert.True(runs > 0 && runs < 2 * (Rounds - tail), $"{runs} runs were made of {2 * (Rounds - tail)} records.");
        foreach (var pageBytes in (int[])[1, 1_200_000, int.MaxValue])
        {
            foreach (var key in keys)
            {
                var entries = await ReadAllAsync(Store, key, pageBytes);
                Assert.Equal(Enumerable.Range(1, Rounds).Select(i => (long)i), entries.Select(entry => entry.Position));
                Assert.All(entries, entry => Assert.Equal((Bytes, (byte)entry.Position), (entry.Frame.Length, entry.Frame[^1])));
            }
        }

        async Task<long> CountAsync(string table) => (long)(await Place.QueryAsync($"SELECT count(*) FROM {table}"))!;
    }

    protected override async Task CreateTablesOfHandlesAsync(JournalPlace place)
    {
        await place.ExecuteAsync(SqliteSchema.CreateVersions);
        await place.ExecuteAsync("INSERT INTO journal_schema (version) VALUES (2)");
        await place.ExecuteAsync(SqliteSchema.Migrations[0]);
        await place.ExecuteAsync(SqliteSchema.Migrations[1]);
    }

    protected override Task<JournalPlace> CreatePlaceAsync() => Task.FromResult<JournalPlace>(new SqliteJournalPlace());
}
