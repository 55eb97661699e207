using IommuFd.TestSupport;
using Xunit;

namespace IommuFd.ProgramTests;

/// <summary>What <c>iommufd run</c> does with a program: how it starts, what reaches it, and how it ends.</summary>
[Collection(GatewayCollection.Name)]
public sealed class RunTests(GatewayFixture gateway)
{
    [Fact]
    public async Task A_program_runs_against_a_silo_that_is_up()
    {
        var outcome = await Programs.RunCommandAsync(null, "--socket", gateway.Socket, "--", Programs.Built("map"));

        Assert.True(outcome.Status == 0, $"examples/map: {outcome}");
        Assert.Equal("", outcome.Errors);
    }

    [Fact]
    public async Task Without_a_silo_one_runs_for_as_long_as_the_program()
    {
        var temporary = Directory.CreateDirectory(gateway.NewFile()).FullName;
        var outcome = await Programs.RunAsync([.. Programs.Command, "--", Programs.Built("busy")], new() { ["TMPDIR"] = temporary });

        Assert.True(outcome.Status == 0, $"examples/busy: {outcome}");
        Assert.Equal("", outcome.Errors);
        Assert.Contains("is busy", outcome.Output, StringComparison.Ordinal);
        Assert.Empty(Directory.GetFileSystemEntries(temporary));
    }

    [Fact]
    public async Task A_durable_context_needs_a_silo_that_is_up()
    {
        var outcome = await Programs.RunCommandAsync(null, "--durable", "--", "true");

        Assert.Equal(125, outcome.Status);
        Assert.Contains("--durable needs a silo that is up", outcome.Errors, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("exit 0", 0)]
    [InlineData("exit 7", 7)]
    [InlineData("kill -KILL $$", 137)]
    public async Task The_status_is_the_programs(string script, int status)
        => Assert.Equal(status, (await Programs.RunCommandAsync(gateway.Socket, "--", "sh", "-c", script)).Status);

    [Fact]
    public async Task A_program_that_is_not_found_is_127()
    {
        var outcome = await Programs.RunCommandAsync(gateway.Socket, "--", "no-such-program");

        Assert.Equal(127, outcome.Status);
        Assert.Contains("'no-such-program' is not found in PATH", outcome.Errors, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_file_that_is_no_program_is_126()
    {
        var file = gateway.NewFile();
        await File.WriteAllTextAsync(file, "text");

        var outcome = await Programs.RunCommandAsync(gateway.Socket, "--", file);

        Assert.Equal(126, outcome.Status);
        Assert.Contains($"'{file}' can't be run: Permission denied", outcome.Errors, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_static_program_runs_under_the_supervisor_and_is_traced()
    {
        var outcome = await Programs.RunCommandAsync(gateway.Socket, "--trace", "--", Programs.Built("test-fork-static"));

        Assert.True(outcome.Status == 0, $"tests/bridge/fork.c, built statically: {outcome}");
        Assert.Contains("IOMMU_IOAS_ALLOC, {size=12, flags=0x0}) = 0 {out_ioas_id=1}", outcome.Errors, StringComparison.Ordinal);
    }

    [Fact]
    public async Task What_preloading_can_t_see_runs_under_the_supervisor_where_that_is_asked_for()
    {
        var outcome = await Programs.RunCommandAsync(gateway.Socket, "--supervise", "--", Programs.Built("test-raw"));

        Assert.True(outcome.Status == 0, $"tests/bridge/raw.c with --supervise: {outcome}");
    }

    [Fact]
    public async Task A_socket_where_nobody_answers_is_named()
    {
        var missing = gateway.NewFile();
        var outcome = await Programs.RunCommandAsync(null, "--socket", missing, "--", "true");

        Assert.Equal(125, outcome.Status);
        Assert.Contains($"no silo answers at '{missing}'", outcome.Errors, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_bridge_that_is_missing_says_how_to_build_it()
    {
        var outcome = await Programs.RunCommandAsync(gateway.Socket, "--bridge", gateway.NewFile(), "--", "true");

        Assert.Equal(125, outcome.Status);
        Assert.Contains("make bridge", outcome.Errors, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("HUP", 129)]
    [InlineData("INT", 130)]
    [InlineData("QUIT", 131)]
    [InlineData("USR1", 138)]
    [InlineData("USR2", 140)]
    [InlineData("TERM", 143)]
    public async Task A_signal_is_passed_to_the_program(string signal, int status)
    {
        await using var command = ChildProcess.Start("iommufd.dll", "run", "--socket", gateway.Socket, "--", "sh", "-c", "echo ready; exec cat");
        await command.WaitForLineAsync("ready");

        await command.SignalAsync(signal);

        Assert.Equal(status, await command.WaitForExitAsync());
    }

    [Fact]
    public async Task A_program_that_handles_a_signal_goes_on()
    {
        await using var command = ChildProcess.Start(
            "iommufd.dll", "run", "--socket", gateway.Socket, "--", "sh", "-c", "trap 'echo handled' TERM; echo ready; sleep 60 & wait; kill $!; exit 5");
        await command.WaitForLineAsync("ready");

        await command.SignalAsync("TERM");

        Assert.Equal(5, await command.WaitForExitAsync());
        Assert.Contains("handled", command.Output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task What_was_preloaded_before_stays_behind_the_bridge()
    {
        var outcome = await Programs.RunAsync(
            [Programs.Built("iommufd-run"), "--", "sh", "-c", "echo $LD_PRELOAD"],
            new() { ["IOMMUFD_SOCKET"] = gateway.Socket, ["LD_PRELOAD"] = "libc.so.6" });

        Assert.Equal($"{Programs.Built("libiommufd-bridge.so")}:libc.so.6", outcome.Output.Trim());
    }

    [Fact]
    public async Task The_launcher_hands_over_what_it_does_not_do_itself()
    {
        var outcome = await Programs.RunAsync([Programs.Built("iommufd-run"), "--trace", "--", Programs.Built("map")], new() { ["IOMMUFD_SOCKET"] = gateway.Socket });

        Assert.True(outcome.Status == 0, $"iommufd-run --trace: {outcome}");
        Assert.Contains("IOMMU_IOAS_MAP", outcome.Errors, StringComparison.Ordinal);
    }

    [Fact]
    public async Task The_program_has_the_limit_of_open_files_of_who_starts_it()
    {
        var outcome = await Programs.RunAsync(
            ["sh", "-c", "ulimit -Sn 256; \"$@\"; exit", "sh", .. Programs.Command, "--", "sh", "-c", "ulimit -Sn"],
            new() { ["IOMMUFD_SOCKET"] = gateway.Socket });

        Assert.Equal("256", outcome.Output.Trim());
    }
}
