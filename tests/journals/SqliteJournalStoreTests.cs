using System.Diagnostics;
using System.Globalization;
using IommuFd.Grains.Journaling;
using IommuFd.Silo.Journals;
using IommuFd.TestSupport;
using Microsoft.Data.Sqlite;

namespace IommuFd.JournalTests;

/// <summary>What SQLite has to do beyond what every store must.</summary>
public sealed class SqliteJournalStoreTests : JournalStoreTests
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
                    reports.Add(report.Handle, report.Position);
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
        var handle = await CreateAsync();
        await using var store = Place.OpenStore(new JournalSettings { Path = Place.Settings.Path, Timeout = TimeSpan.FromMilliseconds(100) });
        await using var other = await Place.ConnectAsync();
        await using (var transaction = ((SqliteConnection)other).BeginTransaction(deferred: false))
        {
            var exception = await Assert.ThrowsAsync<JournalStoreException>(() => store.AcquireAsync(handle, Owner, default));
            Assert.Contains("another process has held the file's lock for longer than 0.1 s", exception.Message, StringComparison.Ordinal);

            // Who only reads waits for nobody.
            Assert.Equal(JournalOutcome.Committed, await CommitAsync(store, new ConfirmEpoch(handle, 1)));
            Assert.Empty(await ReadAllAsync(store, handle));

            var waiting = Store.AcquireAsync(handle, Owner, default);
            Assert.False(waiting.IsCompleted);
            await transaction.CommitAsync();
            Assert.Equal(2, (await waiting)!.Epoch);
        }

        Assert.Equal(3, (await store.AcquireAsync(handle, Owner, default))!.Epoch);
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

        Assert.Equal($"SQLite file {path} could not set up its tables: the file is no database of SQLite.", exception.Message);
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
        var handle = await CreateAsync();
        await AppendAsync(handle, 1, 1, [1]);
        var pages = Convert.ToInt64(await Place.QueryAsync("PRAGMA page_count"), CultureInfo.InvariantCulture);
        using var session = new SqliteSession(Place.Settings.Path, JournalSynchronous.Full, TimeSpan.FromSeconds(10));
        session.Read($"PRAGMA max_page_count = {pages}", _ => false);

        var full = Assert.Throws<SqliteException>(() => session.Execute("INSERT INTO journal_records (handle, position, frame) VALUES (?1, 2, ?2)", SqliteSession.Key(handle), new byte[1 << 20]));

        Assert.EndsWith("could not commit: the disk is full.", SqliteErrors.ToStore(full, "commit", "the file", TimeSpan.Zero).Message, StringComparison.Ordinal);
        Assert.Equal(1, Assert.Single(await ReadAllAsync(Store, handle)).Position);
        await AppendAsync(handle, 1, 2, [2]);
    }

    protected override Task<JournalPlace> CreatePlaceAsync() => Task.FromResult<JournalPlace>(new SqliteJournalPlace());
}
