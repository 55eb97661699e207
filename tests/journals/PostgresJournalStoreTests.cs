using IommuFd.GrainInterfaces;
using IommuFd.Grains.Journaling;
using IommuFd.Silo.Journals;
using IommuFd.TestSupport;
using Microsoft.Extensions.Logging.Abstractions;
using Npgsql;
using Xunit.Abstractions;

namespace IommuFd.JournalTests;

/// <summary>What PostgreSQL has to do beyond what every store must.</summary>
[Collection(PostgresCollection.Name)]
public sealed class PostgresJournalStoreTests(PostgresServer server, ITestOutputHelper output) : JournalStoreTests(output)
{
    [Fact]
    public async Task A_server_that_crashes_in_the_middle_of_commits_loses_nothing_that_was_reported()
    {
        var reports = new Reports(enough: 3000);
        await using var journal = new GroupCommitJournal(Store, Owner, Place.Settings, NullLogger<GroupCommitJournal>.Instance);
        using var cancelled = new CancellationTokenSource();
        var writing = new JournalWriter(journal, reports.Add).RunAsync(cancelled.Token);
        await Task.WhenAny(reports.Enough, writing);
        Assert.True(reports.Enough.IsCompleted, writing.Exception?.ToString());

        await server.StopImmediatelyAsync();
        await Assert.ThrowsAsync<JournalStoreException>(() => writing);
        await server.StartAsync();

        await AllReportedIsThereAsync(Store, reports.All);
    }

    [Fact]
    public async Task After_a_restart_of_the_server_a_store_connects_anew()
    {
        var key = await CreateAsync();
        await using var journal = new GroupCommitJournal(Store, Owner, Place.Settings, NullLogger<GroupCommitJournal>.Instance);

        // Many connections in the pool, all of which will be dead.
        await Task.WhenAll(Enumerable.Range(0, 12).Select(_ => Store.ListAsync(null, 1, default)));
        await server.StopImmediatelyAsync();
        var down = await Assert.ThrowsAsync<JournalStoreException>(() => journal.WriteAsync(new AppendRecord(key, 1, 1, [1])).AsTask());
        Assert.Contains("PostgreSQL database", down.Message, StringComparison.Ordinal);
        await server.StartAsync();

        Assert.Equal(2, (await Store.AcquireAsync(key, Owner, default))!.Epoch);
        Assert.Equal(JournalOutcome.Committed, await journal.WriteAsync(new AppendRecord(key, 2, 1, [1])));
    }

    [Fact]
    public async Task A_user_who_may_not_make_tables_is_told_so_and_needs_no_such_right_once_another_has_made_them()
    {
        var database = await server.CreateDatabaseAsync();
        var user = await server.CreateUserAsync(database);
        await using (var refused = new PostgresJournalStore(new JournalSettings { ConnectionString = user }))
        {
            var problem = (await Assert.ThrowsAsync<JournalStoreException>(() => refused.InitializeAsync(default))).Message;
            Assert.Contains("could not set up its tables: the user lacks a privilege", problem, StringComparison.Ordinal);
            Assert.Contains("SetupConnectionString", problem, StringComparison.Ordinal);
        }

        await using (var first = new PostgresJournalStore(new JournalSettings { ConnectionString = user, SetupConnectionString = database }))
        {
            await first.InitializeAsync(default);
        }

        await using var store = new PostgresJournalStore(new JournalSettings { ConnectionString = user });
        await store.InitializeAsync(default);
        var key = ContextHandle.NewRandom().Key;
        Assert.Equal(1, await store.CreateAsync(key, Owner, default));
        Assert.Equal(2, (await store.AcquireAsync(key, Owner, default))!.Epoch);
        foreach (var write in (JournalWrite[])[new AppendRecord(key, 2, 1, [1]), new ConfirmEpoch(key, 2), new StoreSnapshot(key, 2, 1, [1]), new AppendRecord(key, 2, 2, [2])])
        {
            Assert.Equal(JournalOutcome.Committed, await CommitAsync(store, write));
        }

        Assert.Equal(2, Assert.Single(await store.ReadAsync(key, 1, int.MaxValue, default)).Position);
        await store.ProbeAsync(default);
        Assert.Equal(JournalOutcome.Committed, await CommitAsync(store, new ReleaseJournal(key, 2, [3])));
        Assert.Empty(await store.ListAsync(null, 1, default));
        Assert.Equal(1, await store.PurgeAsync(TimeSpan.Zero, default));

        await using var source = NpgsqlDataSource.Create(user);
        foreach (var sql in (string[])["CREATE TABLE more (x int)", "ALTER TABLE journal_contexts ADD COLUMN x int", "DROP TABLE journal_records", "TRUNCATE journal_records", "UPDATE journal_schema SET version = 9"])
        {
#pragma warning disable CA2100 // The texts are the test's.
            await using var command = source.CreateCommand(sql);
#pragma warning restore CA2100
            Assert.Equal(PostgresErrorCodes.InsufficientPrivilege, (await Assert.ThrowsAsync<PostgresException>(() => command.ExecuteNonQueryAsync())).SqlState);
        }
    }

    [Fact]
    public async Task What_only_reads_does_not_notice_that_its_connections_are_gone()
    {
        var key = await CreateAsync();
        await Task.WhenAll(Enumerable.Range(0, 12).Select(_ => Store.ListAsync(null, 1, default)));

        await Place.ExecuteAsync("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()");

        Assert.Equal(JournalOutcome.Committed, await CommitAsync(Store, new ConfirmEpoch(key, 1)));
        Assert.Equal(2, (await Store.AcquireAsync(key, Owner, default))!.Epoch);
    }

    [Fact]
    public async Task No_message_has_the_password()
    {
        var password = new NpgsqlConnectionStringBuilder(Place.Settings.ConnectionString).Password!;
        const string Wrong = "not-the-password";
        var store = Place.OpenStore(With(text => text.Password = Wrong));
        var refused = await Assert.ThrowsAsync<JournalStoreException>(() => store.InitializeAsync(default));
        Assert.Contains("refuses the user or its password", refused.Message, StringComparison.Ordinal);
        var elsewhere = Place.OpenStore(With(text => text.Port = 1));
        var unreachable = await Assert.ThrowsAsync<JournalStoreException>(() => elsewhere.InitializeAsync(default));
        Assert.Contains("127.0.0.1:1 could not set up its tables: the server can't be reached", unreachable.Message, StringComparison.Ordinal);
        var missing = Place.OpenStore(With(text => text.Database = "nowhere"));
        var unknown = await Assert.ThrowsAsync<JournalStoreException>(() => missing.InitializeAsync(default));
        Assert.Contains("create it first", unknown.Message, StringComparison.Ordinal);
        var unreadable = Assert.Throws<JournalStoreException>(() => Place.OpenStore(new JournalSettings { ConnectionString = $"Host=db;Password=x;{Wrong};{password}=1" }));

        foreach (var text in (string[])[$"{refused}", $"{unreachable}", $"{unknown}", $"{unreadable}", Store.Description, store.Description, elsewhere.Description])
        {
            Assert.DoesNotContain(password, text, StringComparison.Ordinal);
            Assert.DoesNotContain(Wrong, text, StringComparison.Ordinal);
        }

        await store.DisposeAsync();
        await elsewhere.DisposeAsync();
        await missing.DisposeAsync();
    }

    [Fact]
    public async Task A_commit_that_only_confirms_takes_no_lock_and_writes_nothing()
    {
        var key = await CreateAsync();
        await using var other = await Place.ConnectAsync();
        await using var transaction = await other.BeginTransactionAsync();
        await using (var command = other.CreateCommand())
        {
            command.Transaction = transaction;
            command.CommandText = "SELECT 1 FROM journal_contexts FOR UPDATE";
            await command.ExecuteNonQueryAsync();
        }

        const int Count = 100;
        var before = await NextTransactionAsync();
        for (var i = 0; i < Count; i++)
        {
            Assert.Equal(JournalOutcome.Committed, await CommitAsync(Store, new ConfirmEpoch(key, 1)));
        }

        // None has been given a number, which its end would have to be written down for. The server's own upkeep takes some.
        Assert.InRange(await NextTransactionAsync() - before, 0, Count / 2);
        await transaction.RollbackAsync();

        async Task<long> NextTransactionAsync() => (long)(await Place.QueryAsync("SELECT txid_snapshot_xmax(txid_current_snapshot())"))!;
    }

    [Fact]
    public async Task A_full_disk_is_named_and_fails_the_commit_alone()
    {
        var key = await CreateAsync();
        await Place.ExecuteAsync(
            """
            CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'could not extend file' USING ERRCODE = 'disk_full'; END $$;
            CREATE TRIGGER full_disk BEFORE INSERT ON journal_records FOR EACH ROW EXECUTE FUNCTION full_disk();
            """);

        var exception = await Assert.ThrowsAsync<JournalStoreException>(() => Store.CommitAsync([new AppendRecord(key, 1, 1, [1])], default));

        Assert.EndsWith("could not commit: the server's disk is full.", exception.Message, StringComparison.Ordinal);
        await Place.ExecuteAsync("DROP TRIGGER full_disk ON journal_records");
        await AppendAsync(key, 1, 1, [1]);
    }

    [Fact]
    public async Task A_lock_that_another_holds_is_waited_for_as_long_as_the_setting_says()
    {
        var key = await CreateAsync();
        await using var store = Place.OpenStore(new JournalSettings { ConnectionString = Place.Settings.ConnectionString, Timeout = TimeSpan.FromSeconds(1) });
        await using var other = await Place.ConnectAsync();
        await using (var transaction = await other.BeginTransactionAsync())
        {
            await using var command = other.CreateCommand();
            command.Transaction = transaction;
            command.CommandText = "SELECT 1 FROM journal_contexts FOR UPDATE";
            await command.ExecuteNonQueryAsync();

            var exception = await Assert.ThrowsAsync<JournalStoreException>(() => store.CommitAsync([new AppendRecord(key, 1, 1, [1])], default));
            Assert.EndsWith("it took longer than 1 s.", exception.Message, StringComparison.Ordinal);
        }

        Assert.Equal(JournalOutcome.Committed, await CommitAsync(store, new AppendRecord(key, 1, 1, [1])));
    }

    [Fact]
    public async Task A_database_whose_commits_need_not_be_durable_has_durable_journals()
    {
        var database = await server.CreateDatabaseAsync();
        await Place.ExecuteAsync($"ALTER DATABASE {new NpgsqlConnectionStringBuilder(database).Database} SET synchronous_commit = off");
        await using var source = PostgresConnection.TryOpen(database, TimeSpan.FromSeconds(10))!;

        await using var command = source.CreateCommand("SELECT current_setting('synchronous_commit')");

        Assert.Equal("on", await command.ExecuteScalarAsync());
    }

    [Fact]
    public async Task A_server_that_is_not_installed_is_a_failure_that_says_what_to_do()
    {
        await using var missing = new PostgresServer("/nowhere/postgresql");

        var exception = await Assert.ThrowsAsync<InvalidOperationException>(missing.InitializeAsync);

        Assert.Contains("make setup", exception.Message, StringComparison.Ordinal);
    }

    protected override async Task CreateTablesOfHandlesAsync(JournalPlace place)
    {
        await place.ExecuteAsync(PostgresSchema.CreateVersions);
        await place.ExecuteAsync("INSERT INTO journal_schema (version) VALUES (1)");
        await place.ExecuteAsync(PostgresSchema.Migrations[0]);
    }

    protected override async Task<JournalPlace> CreatePlaceAsync() => await PostgresJournalPlace.CreateAsync(server);

    private JournalSettings With(Action<NpgsqlConnectionStringBuilder> change)
    {
        var text = new NpgsqlConnectionStringBuilder(Place.Settings.ConnectionString);
        change(text);
        return new JournalSettings { Store = JournalStoreKind.Postgres, ConnectionString = text.ConnectionString };
    }
}
