using System.Diagnostics;
using IommuFd.TestSupport;
using Xunit;

namespace IommuFd.ProgramTests;

/// <summary>Programs that no preloaded library can serve: static ones, and those with raw system calls.</summary>
[Collection(GatewayCollection.Name)]
public sealed class SupervisorTests(GatewayFixture gateway)
{
    [Theory]
    [MemberData(nameof(BridgeTests.TestPrograms), MemberType = typeof(BridgeTests))]
    public async Task A_static_test_program_finds_what_it_expects(string name)
    {
        var outcome = await Programs.RunSupervisedAsync(gateway.Socket, [Programs.Built($"test-{name}-static")]);

        Assert.True(outcome.Status == 0, $"tests/bridge/{name}.c, built statically: {outcome}");
    }

    [Fact]
    public async Task Raw_system_calls_are_served()
    {
        var outcome = await Programs.RunSupervisedAsync(gateway.Socket, [Programs.Built("test-raw")]);

        Assert.True(outcome.Status == 0, $"tests/bridge/raw.c: {outcome}");
    }

    [Theory]
    [MemberData(nameof(BridgeTests.Groups), MemberType = typeof(BridgeTests))]
    public async Task A_static_program_gets_the_errno_and_the_bytes_that_Linux_gave(string group)
        => BridgeTests.ExpectReplayed(group, await Programs.RunSupervisedAsync(gateway.Socket, [Programs.Built("replay-static")], Programs.FeedTraces(group)));

    [Theory]
    [InlineData("exit 0", 0)]
    [InlineData("exit 7", 7)]
    [InlineData("kill -KILL $$", 137)]
    [InlineData("exec no-such-program", 127)]
    public async Task The_status_is_the_programs(string script, int status)
    {
        var outcome = await Programs.RunSupervisedAsync(gateway.Socket, ["sh", "-c", script]);

        Assert.True(outcome.Status == status, $"sh -c '{script}' under the supervisor, expected status {status}: {outcome}");
    }

    [Fact]
    public async Task A_program_that_is_not_found_is_127()
    {
        var outcome = await Programs.RunSupervisedAsync(gateway.Socket, ["no-such-program"]);

        Assert.Equal(127, outcome.Status);
        Assert.Equal("iommufd: can't run no-such-program: No such file or directory\n", outcome.Errors);
    }

    [Fact]
    public async Task A_process_that_outlives_the_program_is_served_to_its_end()
    {
        var outcome = await Programs.RunSupervisedAsync(gateway.Socket, ["sh", "-c", $"{{ '{Programs.Built("map")}' && '{Programs.Built("test-raw")}' && echo served; }} & exit 4"]);

        Assert.Equal(4, outcome.Status);
        Assert.EndsWith("served\n", outcome.Output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_supervisor_runs_within_another()
    {
        var outcome = await Programs.RunSupervisedAsync(gateway.Socket, [Programs.Built("iommufd-supervise"), "--", Programs.Built("test-raw")]);

        Assert.True(outcome.Status == 0, $"tests/bridge/raw.c under two supervisors: {outcome}");
    }

    [Fact]
    public async Task A_signal_to_the_supervisor_reaches_the_program()
    {
        var start = new ProcessStartInfo(Programs.Built("iommufd-supervise"), ["--", "sh", "-c", "trap 'exit 9' TERM; echo ready; while :; do :; done"]) { RedirectStandardOutput = true };
        start.Environment["IOMMUFD_SOCKET"] = gateway.Socket;
        using var supervisor = Process.Start(start)!;
        try
        {
            Assert.Equal("ready", await supervisor.StandardOutput.ReadLineAsync());
            using var kill = Process.Start("kill", ["-TERM", $"{supervisor.Id}"]);
            using var limit = new CancellationTokenSource(Eventually.Limit);
            await supervisor.WaitForExitAsync(limit.Token);

            Assert.Equal(9, supervisor.ExitCode);
        }
        finally
        {
            if (!supervisor.HasExited)
            {
                supervisor.Kill(entireProcessTree: true);
            }
        }
    }
}
