namespace IommuFd.ClusterTests;

/// <summary>The server as a person runs it: in a process of its own.</summary>
public sealed class ServerProcessTests
{
    [Fact]
    public async Task The_silo_says_where_it_listens_answers_clients_and_stops_cleanly_on_Ctrl_C()
    {
        var (siloPort, gatewayPort) = (Ports.Free(), Ports.Free());
        await using var silo = ChildProcess.Start("iommufd-silo.dll", $"--Silo:SiloPort={siloPort}", $"--Silo:GatewayPort={gatewayPort}");
        await silo.WaitForLineAsync("Ctrl-C drains and stops it.");
        Assert.Contains($"clients  127.0.0.1:{gatewayPort}", silo.Output, StringComparison.Ordinal);

        await using var demo = ChildProcess.Start("iommufd.dll", "demo", "--gateway", $"127.0.0.1:{gatewayPort}");
        Assert.True(await demo.WaitForExitAsync() == 0, demo.Output);

        await silo.SignalAsync("INT");
        Assert.True(await silo.WaitForExitAsync() == 0, silo.Output);
        Assert.Contains("silo stopped", silo.Output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_setting_that_makes_no_sense_is_named()
    {
        await using var silo = ChildProcess.Start("iommufd-silo.dll", "--Silo:Address=nowhere");

        Assert.Equal(2, await silo.WaitForExitAsync());
        Assert.Contains("Silo:Address is 'nowhere'", silo.Output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_gateway_that_nobody_listens_on_is_named()
    {
        var port = Ports.Free();
        await using var demo = ChildProcess.Start("iommufd.dll", "demo", "--gateway", $"127.0.0.1:{port}");

        Assert.Equal(2, await demo.WaitForExitAsync());
        Assert.Contains($"answers at 127.0.0.1:{port}", demo.Output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_mismatch_in_a_trace_is_exit_status_1()
    {
        var path = Path.GetTempFileName();
        try
        {
            // Linux answers ENOENT (2) here; the trace claims EBUSY (16).
            await File.WriteAllTextAsync(path, """{"group":"made","seed":1,"steps":[{"fd":0,"cmd":15232,"in":"0800000001000000","errno":16}]}""");
            await using var replay = ChildProcess.Start("iommufd.dll", "conformance", path);

            Assert.True(await replay.WaitForExitAsync() == 1, replay.Output);
            Assert.Contains("made seed 1, step 0: IOMMU_DESTROY {size=8, id=1}", replay.Output, StringComparison.Ordinal);
            Assert.Contains("1 sequences, 1 ioctls, 1 mismatches", replay.Output, StringComparison.Ordinal);
        }
        finally
        {
            File.Delete(path);
        }
    }
}
