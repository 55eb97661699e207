using IommuFd.GrainInterfaces;
using IommuFd.Grains.Journaling;
using IommuFd.Silo.Journals;
using IommuFd.Silo.Journals.Files;
using IommuFd.TestSupport;
using Microsoft.Extensions.Logging;

namespace IommuFd.JournalTests;

/// <summary>What others do to a SQLite store's files: deleted, replaced, opened to all, or found without their log.</summary>
public sealed class SqliteFileTests : IAsyncLifetime, IAsyncDisposable
{
    private const int WasOpenToOthers = 2017;
    private const string Owner = "silo";

    private readonly SqliteJournalPlace _place = new();
    private readonly ContextKey _key = ContextHandle.NewRandom().Key;
    private readonly Warnings _log = new();
    private SqliteJournalStore _store = null!;
    private long _position;

    private string Path => _place.Settings.Path;

    public async Task InitializeAsync()
    {
        await OpenAsync();
        await _store.CreateAsync(_key, Owner, default);
        await WriteAsync();
    }

    public async Task DisposeAsync()
    {
        await _store.DisposeAsync();
        await _place.DisposeAsync();
    }

    async ValueTask IAsyncDisposable.DisposeAsync() => await DisposeAsync();

    [Theory]
    [InlineData("")]
    [InlineData("-wal")]
    [InlineData("-shm")]
    [InlineData("-lock")]
    public async Task A_file_that_is_deleted_is_noticed_and_nothing_is_answered_until_it_is_back(string ending)
    {
        var (file, aside) = (Path + ending, Path + ".aside");
        File.Move(file, aside);
        await NoticedAsync($"'{file}' was deleted while the silo runs");
        await Assert.ThrowsAsync<JournalStoreException>(WriteAsync);
        await Assert.ThrowsAsync<JournalStoreException>(() => _store.AcquireAsync(_key, Owner, default));
        Assert.False(File.Exists(file), $"'{file}' is made anew");

        await File.WriteAllTextAsync(file, "");
        await NoticedAsync($"'{file}' was replaced by another file while the silo runs");

        File.Move(aside, file, overwrite: true);
        await WriteAsync();
        Assert.Equal(JournalOutcome.Committed, await ConfirmAsync());
    }

    [Fact]
    public async Task A_file_with_a_copy_of_itself_in_its_place_is_replaced()
    {
        File.Copy(Path, Path + ".copy");
        File.Move(Path + ".copy", Path, overwrite: true);
        await NoticedAsync($"'{Path}' was replaced by another file");
    }

    [Fact]
    public async Task A_log_that_is_deleted_while_the_silo_runs_costs_nothing_if_the_silo_is_stopped()
    {
        File.Delete(FileState.LogOf(Path));
        await NoticedAsync("-wal' was deleted");
        await _store.DisposeAsync();

        await OpenAsync();
        Assert.Equal(_position, Assert.Single(await _store.ReadAsync(_key, 0, int.MaxValue, default)).Position);
    }

    [Fact]
    public async Task A_file_that_was_not_closed_and_has_no_log_is_refused_until_the_log_is_back_or_a_person_does_without()
    {
        var (file, log) = Abandon();
        File.Move(log, log + ".aside");
        await using (var refused = new SqliteJournalStore(new JournalSettings { Path = file }))
        {
            var problem = (await Assert.ThrowsAsync<JournalStoreException>(() => refused.InitializeAsync(default))).Message;
            Assert.Contains($"SQLite file {file} was not closed when it was last in use, and its log {System.IO.Path.GetFileName(log)}, with what was committed last, is missing", problem, StringComparison.Ordinal);
            Assert.Contains($"delete {file}-state", problem, StringComparison.Ordinal);
            await File.WriteAllTextAsync(log, "");
            Assert.Contains("is empty", (await Assert.ThrowsAsync<JournalStoreException>(() => refused.InitializeAsync(default))).Message, StringComparison.Ordinal);
        }

        File.Move(log + ".aside", log, overwrite: true);
        await using (var recovered = new SqliteJournalStore(new JournalSettings { Path = file }))
        {
            await recovered.InitializeAsync(default);
            Assert.Equal(_position, Assert.Single(await recovered.ReadAsync(_key, 0, int.MaxValue, default)).Position);
        }

        // That one has closed it.
        Assert.False(File.Exists(log), "a file that is closed has no log");
        await using var later = new SqliteJournalStore(new JournalSettings { Path = file });
        await later.InitializeAsync(default);
    }

    [Fact]
    public async Task Without_the_word_that_it_was_in_use_a_file_without_its_log_is_taken_as_it_is()
    {
        var (file, log) = Abandon();
        File.Delete(log);
        File.Delete(FileState.PathOf(file));
        await using var store = new SqliteJournalStore(new JournalSettings { Path = file });
        await store.InitializeAsync(default);
    }

    [Fact]
    public async Task Of_several_stores_that_share_a_file_the_last_one_closes_it()
    {
        await _store.DisposeAsync();
        var stores = Enumerable.Range(0, 4).Select(_ => new SqliteJournalStore(_place.Settings)).ToList();
        await Task.WhenAll(stores.Select(store => Task.Run(() => store.InitializeAsync(default))));
        Assert.Equal("running", await StateAsync());
        await Task.WhenAll(stores.Skip(1).Select(store => Task.Run(async () => await store.DisposeAsync())));
        Assert.Equal("running", await StateAsync());
        await stores[0].DisposeAsync();
        Assert.Equal("closed", await StateAsync());
        await OpenAsync();
    }

    [Fact]
    public async Task Files_that_others_could_read_or_write_are_taken_from_them_with_a_warning()
    {
        await _store.DisposeAsync();
        var copy = Abandoned(Path);
        Assert.Equal(4, copy.Length);
        if (OperatingSystem.IsWindows())
        {
            return;
        }

        foreach (var file in copy)
        {
            File.SetUnixFileMode(file, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.GroupRead | UnixFileMode.OtherWrite);
        }

        await OpenAsync();
        foreach (var file in copy)
        {
            Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(file));
        }

        Assert.Equal(copy.Order(), _log.Texts.Select(text => text.Split(' ')[0]).Order());
        Assert.All(_log.Texts, text => Assert.Contains("(mode 642)", text, StringComparison.Ordinal));
        Assert.All(_log.Ids, id => Assert.Equal(WasOpenToOthers, id));
    }

    [Fact]
    public async Task A_file_of_another_user_is_refused()
    {
        if (!Environment.IsPrivilegedProcess)
        {
            // Only root can give a file away. Who is not root has the system's files.
            await using var other = new SqliteJournalStore(new JournalSettings { Path = "/etc/passwd" });
            Assert.Contains("'/etc/passwd' belongs to another user (uid 0)", (await Assert.ThrowsAsync<JournalStoreException>(() => other.InitializeAsync(default))).Message, StringComparison.Ordinal);
            return;
        }

        await _store.DisposeAsync();
        await Shell.RunAsync("chown", "65534", Path);
        _store = new SqliteJournalStore(_place.Settings);
        var problem = (await Assert.ThrowsAsync<JournalStoreException>(() => _store.InitializeAsync(default))).Message;
        Assert.Contains($"SQLite file {Path} could not use its file: '{Path}' belongs to another user (uid 65534)", problem, StringComparison.Ordinal);
    }

    // A file and its companions as a process leaves them that is killed.
    private (string File, string Log) Abandon()
    {
        var file = Path + "-killed.db";
        foreach (var ending in (string[])["", "-wal", "-state"])
        {
            File.Copy(Path + ending, file + ending);
        }

        return (file, FileState.LogOf(file));
    }

    private static string[] Abandoned(string path) => [.. (string[])[path, .. FilePermissions.Companions.Select(ending => path + ending).Where(File.Exists)]];

    private async Task<string> StateAsync() => (await File.ReadAllTextAsync(FileState.PathOf(Path))).Trim();

    private async Task OpenAsync()
    {
        _store = new SqliteJournalStore(_place.Settings, "this test", _log);
        await _store.InitializeAsync(default);
    }

    private async Task WriteAsync() => Assert.Equal([JournalOutcome.Committed], await _store.CommitAsync([new AppendRecord(_key, 1, ++_position, [1])], default));

    private async Task<JournalOutcome> ConfirmAsync() => Assert.Single(await _store.CommitAsync([new ConfirmEpoch(_key, 1)], default));

    private async Task NoticedAsync(string expected)
    {
        var said = "";
        await Eventually.TrueAsync(
            async () =>
            {
                try
                {
                    await ConfirmAsync();
                    return false;
                }
                catch (JournalStoreException exception)
                {
                    said = exception.Message;
                    return true;
                }
            },
            expected);
        Assert.Contains(expected, said, StringComparison.Ordinal);
    }

    private sealed class Warnings : ILogger<SqliteJournalStore>
    {
        public List<int> Ids { get; } = [];

        public List<string> Texts { get; } = [];

        public IDisposable? BeginScope<TState>(TState state)
            where TState : notnull => null;

        public bool IsEnabled(LogLevel logLevel) => true;

        public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
        {
            Ids.Add(eventId.Id);
            Texts.Add(formatter(state, exception));
        }
    }
}
