using System.Net;
using IommuFd.Silo.Clustering;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Options;
using Npgsql;
using Orleans.Configuration;
using Orleans.Runtime.MembershipService;

namespace IommuFd.ClusterTests.Operations;

/// <summary>The membership in PostgreSQL: how its tables come to be, and what its statements promise.</summary>
[Collection(PostgresCollection.Name)]
public sealed class MembershipTests(PostgresServer postgres) : IAsyncLifetime
{
    private string _connectionString = null!;
    private NpgsqlDataSource _database = null!;

    public async Task InitializeAsync()
    {
        _connectionString = await postgres.CreateDatabaseAsync();
        _database = NpgsqlDataSource.Create(_connectionString);
    }

    public async Task DisposeAsync() => await _database.DisposeAsync();

    [Fact]
    public async Task Silos_that_prepare_the_membership_at_once_and_again_make_it_once()
    {
        await Task.WhenAll(Enumerable.Range(0, 8).Select(_ => Task.Run(() => PrepareAsync())));
        await PrepareAsync();

        Assert.Equal(10L, await ScalarAsync("SELECT count(*) FROM OrleansQuery"));
    }

    [Fact]
    public async Task Of_two_changes_of_one_version_one_is_made()
    {
        var table = await OpenTableAsync();
        var empty = await table.ReadAllAsync();
        Assert.Empty(empty.Members);

        var first = Silo(1);
        Assert.True(await table.InsertRowAsync(first, empty.Version.Next()));
        Assert.False(await table.InsertRowAsync(Silo(2), empty.Version.Next()), "the version has gone on");
        var one = await table.ReadAllAsync();
        Assert.False(await table.InsertRowAsync(first, one.Version.Next()), "it is there already");
        Assert.Equal(one.Version.Version, (await table.ReadAllAsync()).Version.Version);

        var outcomes = await Task.WhenAll(Enumerable.Range(2, 8).Select(i => Task.Run(() => table.InsertRowAsync(Silo(i), one.Version.Next()))));
        Assert.Equal(1, outcomes.Count(made => made));
        var two = await table.ReadAllAsync();
        Assert.Equal((2, one.Version.Version + 1), (two.Members.Count, two.Version.Version));

        first.Status = SiloStatus.Active;
        Assert.False(await table.UpdateRowAsync(first, one.Version.VersionEtag, one.Version.Next()), "the version has gone on");
        Assert.True(await table.UpdateRowAsync(first, two.Version.VersionEtag, two.Version.Next()));
        Assert.Equal(SiloStatus.Active, (await table.ReadRowAsync(first.SiloAddress)).Members.Single().Item1.Status);
    }

    [Fact]
    public async Task What_is_written_is_read_and_only_the_dead_are_cleaned_up()
    {
        var table = await OpenTableAsync();
        var (living, dead) = (Silo(1), Silo(2));
        dead.Status = SiloStatus.Dead;
        dead.SuspectTimes = [Tuple.Create(living.SiloAddress, dead.StartTime)];
        foreach (var silo in (MembershipEntry[])[living, dead])
        {
            Assert.True(await table.InsertRowAsync(silo, (await table.ReadAllAsync()).Version.Next()));
        }

        var version = (await table.ReadAllAsync()).Version;
        Assert.True(await table.UpdateRowAsync(dead, version.VersionEtag, version.Next()));
        var read = (await table.ReadRowAsync(dead.SiloAddress)).Members.Single().Item1;
        Assert.Equal((dead.SiloName, dead.HostName, dead.ProxyPort, dead.Status), (read.SiloName, read.HostName, read.ProxyPort, read.Status));
        Assert.Equal(living.SiloAddress, read.SuspectTimes!.Single().Item1);

        living.IAmAliveTime = living.IAmAliveTime.AddSeconds(5);
        await table.UpdateIAmAliveAsync(living);
        Assert.Equal(living.IAmAliveTime, (await table.ReadRowAsync(living.SiloAddress)).Members.Single().Item1.IAmAliveTime);

        await table.CleanupDefunctSiloEntriesAsync(dead.StartTime.AddMinutes(-1));
        Assert.Equal(2, (await table.ReadAllAsync()).Members.Count);
        await table.CleanupDefunctSiloEntriesAsync(dead.StartTime.AddMinutes(1));
        Assert.Equal(living.SiloAddress, (await table.ReadAllAsync()).Members.Single().Item1.SiloAddress);

        await table.DeleteMembershipTableEntriesAsync("iommufd");
        Assert.Equal(0L, await ScalarAsync("SELECT count(*) FROM OrleansMembershipVersionTable"));
    }

    [Fact]
    public async Task A_database_that_has_an_OrleansQuery_of_another_kind_is_refused_and_left_as_it_is()
    {
        await ScalarAsync("CREATE TABLE OrleansQuery (QueryKey text PRIMARY KEY, QueryText text NOT NULL); INSERT INTO OrleansQuery VALUES ('GatewaysQueryKey', 'SELECT 1')");
        var (exitCode, output) = await StartAsync(_connectionString);

        Assert.Equal(1, exitCode);
        Assert.Contains("has a table OrleansQuery of another application: it lacks MembershipReadRowKey", output, StringComparison.Ordinal);
        Assert.Equal(1L, await ScalarAsync("SELECT count(*) FROM OrleansQuery"));
    }

    [Theory]
    [InlineData("Host=127.0.0.1;Port=1;Database=x;Username=x;Password=geheim", 1, "PostgreSQL database 'x' at 127.0.0.1:1 does not answer")]
    [InlineData("Host=127.0.0.1;Port=none;Password=geheim", 2, "Silo:Clustering:ConnectionString: is not a PostgreSQL connection string")]
    [InlineData("Host=127.0.0.1;Password=gut;geheim=1", 2, "Silo:Clustering:ConnectionString: is not a PostgreSQL connection string")]
    [InlineData("Password=geheim", 2, "Silo:Clustering:ConnectionString: names no Host")]
    public async Task A_database_that_can_not_be_reached_is_named_without_its_password(string connectionString, int expectedExitCode, string message)
    {
        var (exitCode, output) = await StartAsync(connectionString);

        Assert.Equal(expectedExitCode, exitCode);
        Assert.Contains(message, output, StringComparison.Ordinal);
        Assert.DoesNotContain("geheim", output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task The_command_line_finds_a_cluster_by_its_database_and_keeps_its_password_to_itself()
    {
        await using var cluster = await SiloCluster.StartAsync(_connectionString, silos: 1);
        var password = new NpgsqlConnectionStringBuilder(_connectionString).Password!;
        var environment = new Dictionary<string, string> { ["IOMMUFD_CLUSTER"] = _connectionString };

        await using var demo = ChildProcess.Start(environment, "iommufd.dll", "demo", "--cluster", "IOMMUFD_CLUSTER");
        Assert.True(await demo.WaitForExitAsync() == 0, demo.Output);
        await using var stranger = ChildProcess.Start(environment, "iommufd.dll", "demo", "--cluster", "IOMMUFD_CLUSTER", "--cluster-id", "another");
        Assert.Equal(2, await stranger.WaitForExitAsync());
        Assert.Contains("No silo of cluster 'another' in the PostgreSQL database", stranger.Output, StringComparison.Ordinal);
        await using var both = ChildProcess.Start("iommufd.dll", "demo", "--cluster", _connectionString, "--gateway", "127.0.0.1:1");
        Assert.Equal(2, await both.WaitForExitAsync());
        Assert.All((ChildProcess[])[demo, stranger, both, cluster.Silos[0].Process], process => Assert.DoesNotContain(password, process.Output, StringComparison.Ordinal));
    }

    [Fact]
    public async Task Silos_run_as_a_user_who_may_make_nothing_once_another_has_made_their_tables()
    {
        var user = await postgres.CreateUserAsync(_connectionString);
        var (exitCode, output) = await StartAsync(user);
        Assert.Equal(1, exitCode);
        Assert.Contains("permission denied", output, StringComparison.Ordinal);
        Assert.Contains("SetupConnectionString can name a user who may make the tables", output, StringComparison.Ordinal);

        await using var cluster = await SiloCluster.StartAsync(user, silos: 0);
        await cluster.StartSilo($"--Silo:Clustering:SetupConnectionString={_connectionString}", $"--Journal:SetupConnectionString={_connectionString}").IsUpAsync();
        await cluster.StartSilo().IsUpAsync();
        await using var demo = ChildProcess.Start("iommufd.dll", "demo", "--durable", "--gateway", $"127.0.0.1:{cluster.Silos[1].GatewayPort}");
        Assert.True(await demo.WaitForExitAsync() == 0, demo.Output);
        Assert.Equal(2L, await ScalarAsync("SELECT count(*) FROM OrleansMembershipTable"));
        await cluster.Silos[0].Process.SignalAsync("TERM");
        Assert.True(await cluster.Silos[0].Process.WaitForExitAsync() == 0, cluster.Silos[0].Process.Output);
    }

    private static MembershipEntry Silo(int generation)
    {
        var now = new DateTime(2026, 1, 2, 3, 4, 5, DateTimeKind.Utc);
        return new MembershipEntry
        {
            SiloAddress = SiloAddress.New(IPAddress.Loopback, 11111, generation),
            SiloName = $"silo {generation}",
            HostName = "here",
            Status = SiloStatus.Joining,
            ProxyPort = 30000,
            StartTime = now,
            IAmAliveTime = now,
        };
    }

    private static async Task<(int ExitCode, string Output)> StartAsync(string connectionString)
    {
        await using var silo = ChildProcess.Start(
            "iommufd-silo.dll", "--Silo:SiloPort=0", "--Silo:GatewayPort=0", "--Journal:Store=none",
            "--Silo:Clustering:Provider=postgres", $"--Silo:Clustering:ConnectionString={connectionString}", "--Silo:Clustering:DatabasePatience=00:00:01");
        return (await silo.WaitForExitAsync(), silo.Output);
    }

    private Task PrepareAsync() => new PostgresMembership(
        new ClusteringSettings { ConnectionString = _connectionString }, "iommufd", _database, NullLogger<PostgresMembership>.Instance).PrepareAsync(CancellationToken.None);

    private async Task<AdoNetClusteringTable> OpenTableAsync()
    {
        await PrepareAsync();
        var table = new AdoNetClusteringTable(
            null!,
            Options.Create(new ClusterOptions { ClusterId = "iommufd", ServiceId = "iommufd" }),
            Options.Create(new AdoNetClusteringSiloOptions { Invariant = "Npgsql", DataSource = _database }),
            NullLogger<AdoNetClusteringTable>.Instance);
        await table.InitializeMembershipTableAsync(tryInitTableVersion: true);
        return table;
    }

    private async Task<object?> ScalarAsync(string sql)
    {
#pragma warning disable CA2100 // The statements are this file's.
        await using var command = _database.CreateCommand(sql);
#pragma warning restore CA2100
        return await command.ExecuteScalarAsync();
    }
}
