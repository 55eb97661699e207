using IommuFd.TestSupport;
using Xunit;

namespace IommuFd.ProgramTests;

/// <summary>Programs whose silo is killed under them, and started again.</summary>
public sealed class RestartTests : IDisposable
{
    // A silo that is killed leaves all as it is; one that is stopped hands over what it has.
    private static readonly string[] Ends = ["KILL", "TERM", "KILL"];

    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("iommufd-restart-");

    private string Socket => Path.Combine(_folder.FullName, "gateway.sock");

    private string Journal => Path.Combine(_folder.FullName, "journal.db");

    public void Dispose() => _folder.Delete(recursive: true);

    [Fact]
    public Task A_preloaded_programs_calls_are_done_once() => ExpectSteadyAsync(
        new() { ["IOMMUFD_SOCKET"] = Socket, ["LD_PRELOAD"] = Programs.Built("libiommufd-bridge.so") }, [Programs.Built("test-steady")]);

    [Fact]
    public Task A_supervised_programs_calls_are_done_once() => ExpectSteadyAsync(
        new() { ["IOMMUFD_SOCKET"] = Socket }, [Programs.Built("iommufd-supervise"), "--", Programs.Built("test-steady-static")]);

    [Fact]
    public async Task A_program_without_patience_gets_EIO()
    {
        await using var silo = await StartSiloAsync();
        await using var program = ChildProcess.StartCommand(
            new() { ["IOMMUFD_SOCKET"] = Socket, ["IOMMUFD_PATIENCE"] = "0", ["LD_PRELOAD"] = Programs.Built("libiommufd-bridge.so") }, Programs.Built("test-steady"));
        await program.WaitForLineAsync("rounds ");
        await silo.SignalAsync("KILL");

        Assert.Equal(1, await program.WaitForExitAsync());
        Assert.Contains("errno 5", program.Output, StringComparison.Ordinal);
        Assert.Contains("is gone", program.Output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_program_whose_silo_is_there_and_cannot_answer_reads_why()
    {
        await using var silo = await StartSiloAsync();
        await using var program = ChildProcess.StartCommand(
            new() { ["IOMMUFD_SOCKET"] = Socket, ["LD_PRELOAD"] = Programs.Built("libiommufd-bridge.so") }, Programs.Built("test-steady"));
        await program.WaitForLineAsync("rounds ");
        File.Delete(Journal);

        // The gateway sends the call again for as long as any client of the silo's would.
        Assert.Equal(1, await program.WaitForExitAsync());
        Assert.Contains("errno 5", program.Output, StringComparison.Ordinal);
        Assert.Contains("can't answer, and calls fail (EIO)", program.Output, StringComparison.Ordinal);
        Assert.Contains($"'{Journal}' was deleted", program.Output, StringComparison.Ordinal);
    }

    private async Task ExpectSteadyAsync(Dictionary<string, string> environment, string[] command)
    {
        var silo = await StartSiloAsync();
        await using var program = ChildProcess.StartCommand(environment, command[0], command[1..]);
        foreach (var end in Ends)
        {
            await NextRoundsAsync(program);
            await silo.SignalAsync(end);
            await silo.Exited;
            await silo.DisposeAsync();
            silo = await StartSiloAsync();
        }

        await NextRoundsAsync(program);
        program.CloseInput();
        Assert.True(await program.WaitForExitAsync() == 0, $"{string.Join(' ', command)}, whose silo has ended {Ends.Length} times, ends with 0: {program.Output}");
        await silo.DisposeAsync();
    }

    // It says each 20 rounds of its work that they are done.
    private static Task NextRoundsAsync(ChildProcess program)
    {
        var rounds = program.Output.Split('\n').Count(line => line.StartsWith("rounds ", StringComparison.Ordinal));
        return program.WaitForAsync(
            output => output.Split('\n').Count(line => line.StartsWith("rounds ", StringComparison.Ordinal)) >= rounds + 2, $"{rounds + 2} lines that say that rounds are done");
    }

    private async Task<ChildProcess> StartSiloAsync()
    {
        var silo = ChildProcess.Start(
            "iommufd-silo.dll", $"--Silo:SiloPort={Ports.Free()}", "--Silo:GatewayPort=0", $"--Journal:Path={Journal}", $"--Gateway:Path={Socket}");
        await silo.WaitForLineAsync("Ctrl-C drains and stops it.");
        return silo;
    }
}
