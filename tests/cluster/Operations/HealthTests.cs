using System.Net;
using IommuFd.ClusterTests.Gateway;
using Npgsql;

namespace IommuFd.ClusterTests.Operations;

/// <summary>What a silo answers in each state about its health: to each question by HTTP, and to the container's health check.</summary>
[Collection(PostgresCollection.Name)]
public sealed class HealthTests(PostgresServer postgres) : IDisposable
{
    private const string Up = "Ctrl-C drains and stops it.";

    private readonly HttpClient _http = new() { Timeout = TimeSpan.FromSeconds(2) };
    private readonly int _port = Ports.Free();

    private string[] Dashboard => ["--Dashboard:Enabled=true", $"--Dashboard:Port={_port}"];

    private string[] Alone => ["--Silo:SiloPort=0", .. Dashboard];

    public void Dispose() => _http.Dispose();

    [Fact]
    public async Task A_silo_that_serves_is_healthy_in_every_way_until_it_is_stopped_and_again_when_it_goes_on()
    {
        await using var silo = ChildProcess.Start("iommufd-silo.dll", [.. Alone, "--Journal:Store=none"]);
        await silo.WaitForLineAsync(Up);
        await ExpectAsync(startup: 200, ready: 200, live: 200);
        await ExpectCommandAsync(0, "healthy");

        // The kernel still accepts its connections. It stops the process's threads one after the other.
        await silo.SignalAsync("STOP");
        foreach (var probe in (string[])["startup", "ready", "live"])
        {
            await Eventually.TrueAsync(() => IsSilentAsync(probe), $"'{probe}' gets no answer within two seconds");
        }

        await ExpectCommandAsync(1, "does not answer: nothing came within 1.5 s");
        await silo.SignalAsync("CONT");
        await Eventually.TrueAsync(async () => (await AskAsync("ready")).Status == 200, "the silo is ready again");
        await ExpectAsync(startup: 200, ready: 200, live: 200);
    }

    [Fact]
    public async Task A_silo_without_its_database_is_not_ready_but_alive_until_the_database_is_back()
    {
        var database = new NpgsqlConnectionStringBuilder(await postgres.CreateDatabaseAsync());
        await using var silo = ChildProcess.Start("iommufd-silo.dll", [.. Alone, "--Journal:Store=postgres", $"--Journal:ConnectionString={database}"]);
        await silo.WaitForLineAsync(Up);
        await ExpectAsync(startup: 200, ready: 200, live: 200);
        await postgres.StopImmediatelyAsync();
        try
        {
            await Eventually.TrueAsync(async () => (await AskAsync("ready")).Status == 503, "the silo is not ready");
            await ExpectAsync(startup: 200, ready: 503, live: 200);
            var (_, said) = await AskAsync("ready");
            Assert.Equal("unhealthy\njournal: writes fail", said);
            await ExpectCommandAsync(1, "journal: writes fail");
            await silo.WaitForLineAsync("This silo is not ready: journal: writes fail");
        }
        finally
        {
            await postgres.StartAsync();
        }

        await Eventually.TrueAsync(async () => (await AskAsync("ready")).Status == 200, "the silo is ready again");
        await silo.WaitForLineAsync("This silo is ready again");
    }

    [Fact]
    public async Task A_silo_whose_disk_is_full_is_not_ready_but_alive_until_there_is_space()
    {
        await using var disk = await SmallDisk.MountAsync(megabytes: 8);
        await using var silo = disk.Start("iommufd-silo.dll", [.. Alone, "--Journal:Store=sqlite", $"--Journal:Path={Path.Combine(disk.Folder, "journal.db")}"]);
        await silo.WaitForLineAsync(Up);
        await ExpectAsync(startup: 200, ready: 200, live: 200);

        // A file of SQLite's that is begun anew has space in it once more.
        await Eventually.TrueAsync(
            async () =>
            {
                disk.Fill();
                return (await AskAsync("ready")).Status == 503;
            },
            "the silo is not ready");
        await ExpectAsync(startup: 200, ready: 503, live: 200);
        disk.Free();
        await Eventually.TrueAsync(async () => (await AskAsync("ready")).Status == 200, "the silo is ready again");
    }

    [Fact]
    public async Task A_silo_whose_journal_was_deleted_says_so_and_is_not_ready_also_while_nothing_is_asked_of_it()
    {
        var folder = Directory.CreateTempSubdirectory("iommufd-health-");
        try
        {
            var (journal, aside) = (Path.Combine(folder.FullName, "journal.db"), Path.Combine(folder.FullName, "aside"));
            await using var silo = ChildProcess.Start("iommufd-silo.dll", [.. Alone, "--Journal:Store=sqlite", $"--Journal:Path={journal}"]);
            await silo.WaitForLineAsync(Up);
            File.Move(journal, aside);
            await silo.WaitForLineAsync($"'{journal}' was deleted while the silo runs");
            await ExpectAsync(startup: 200, ready: 503, live: 200);
            File.Move(aside, journal);
            await silo.WaitForLineAsync("works again");
            await Eventually.TrueAsync(async () => (await AskAsync("ready")).Status == 200, "the silo is ready again");
        }
        finally
        {
            folder.Delete(recursive: true);
        }
    }

    [Fact]
    public async Task A_silo_that_starts_is_alive_and_neither_started_nor_ready_and_shows_no_page()
    {
        await using var silo = ChildProcess.Start(
            "iommufd-silo.dll",
            [.. Alone, "--Journal:Store=none", "--Silo:Clustering:Provider=postgres", $"--Silo:Clustering:ConnectionString=Host=127.0.0.1;Port={Ports.Free()};Username=x", "--Silo:Clustering:DatabasePatience=00:10:00"]);
        await silo.WaitForLineAsync("does not answer; retrying");
        await ExpectAsync(startup: 503, ready: 503, live: 200);
        Assert.Equal("unhealthy\nmember: it is starting", (await AskAsync("ready")).Text);
        await ExpectCommandAsync(1, "it is starting");
        using var page = await _http.GetAsync(new Uri($"http://127.0.0.1:{_port}/"));
        Assert.Equal((HttpStatusCode.ServiceUnavailable, "This silo is starting."), (page.StatusCode, await page.Content.ReadAsStringAsync()));
    }

    [Fact]
    public async Task A_silo_that_leaves_is_alive_and_not_ready_and_so_is_one_whose_database_hangs()
    {
        var database = new NpgsqlConnectionStringBuilder(await postgres.CreateDatabaseAsync());
        using var relay = new Relay(postgres.Port);
        database.Port = relay.Port;
        await using var silo = ChildProcess.Start(
            "iommufd-silo.dll",
            [
                "--Silo:Clustering:Provider=postgres", $"--Silo:Clustering:ConnectionString={database}", "--Journal:Store=postgres", $"--Journal:ConnectionString={database}",
                $"--Silo:SiloPort={Ports.Free()}", .. Dashboard,
            ]);
        await silo.WaitForLineAsync(Up);
        await ExpectAsync(startup: 200, ready: 200, live: 200);

        relay.Hold();
        await Eventually.TrueAsync(async () => (await AskAsync("ready")).Status == 503, "the silo is not ready");
        Assert.Equal((503, "unhealthy\njournal: it does not answer"), await AskAsync("ready"));
        Assert.Equal(200, (await AskAsync("live")).Status);

        // It can't tell its cluster that it leaves.
        await silo.SignalAsync("TERM");
        await Eventually.TrueAsync(async () => (await AskAsync("ready")).Text.Contains("member: it is leaving", StringComparison.Ordinal), "the silo says that it leaves");
        Assert.Equal(200, (await AskAsync("live")).Status);
        await ExpectCommandAsync(1, "it is leaving");
        relay.Pass();
        Assert.True(await silo.WaitForExitAsync() == 0, silo.Output);
        await ExpectCommandAsync(1, "does not answer: Connection refused");
    }

    [Theory]
    [InlineData("--Dashboard:Enabled=false", "Dashboard:Enabled is false")]
    [InlineData("--Dashboard:Port=0", "Dashboard:Port is 0")]
    public async Task Without_a_known_port_the_health_check_says_what_it_lacks(string setting, string problem)
    {
        await using var health = ChildProcess.Start("iommufd-silo.dll", "--health", "--Dashboard:Enabled=true", setting);
        Assert.Equal(2, await health.WaitForExitAsync());
        Assert.Contains(problem, health.Output, StringComparison.Ordinal);
    }

    private async Task ExpectAsync(int startup, int ready, int live)
        => Assert.Equal(
            $"startup {startup}, ready {ready}, live {live}",
            $"startup {(await AskAsync("startup")).Status}, ready {(await AskAsync("ready")).Status}, live {(await AskAsync("live")).Status}");

    private async Task<(int Status, string Text)> AskAsync(string probe)
    {
        using var response = await _http.GetAsync(new Uri($"http://127.0.0.1:{_port}/health/{probe}"));
        return ((int)response.StatusCode, await response.Content.ReadAsStringAsync());
    }

    private async Task<bool> IsSilentAsync(string probe)
    {
        try
        {
            await AskAsync(probe);
            return false;
        }
        catch (TaskCanceledException)
        {
            return true;
        }
    }

    private async Task ExpectCommandAsync(int status, string said)
    {
        await using var health = ChildProcess.Start("iommufd-silo.dll", ["--health", .. Dashboard]);
        Assert.True(await health.WaitForExitAsync() == status, $"--health ends with {status}: {health.Output}");
        Assert.Contains(said, health.Output, StringComparison.Ordinal);
    }
}
