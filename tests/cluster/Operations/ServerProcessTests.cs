using System.Net;
using System.Net.Sockets;

namespace IommuFd.ClusterTests.Operations;

/// <summary>The server as a person runs it: in a process of its own.</summary>
public sealed class ServerProcessTests
{
    [Fact]
    public async Task The_silo_says_where_it_listens_answers_clients_and_stops_cleanly_on_Ctrl_C()
    {
        var (siloPort, gatewayPort) = (Ports.Free(), Ports.Free());
        await using var silo = ChildProcess.Start("iommufd-silo.dll", $"--Silo:SiloPort={siloPort}", $"--Silo:GatewayPort={gatewayPort}");
        await silo.WaitForLineAsync("Ctrl-C drains and stops it.");
        Assert.Contains($"clients    127.0.0.1:{gatewayPort}", silo.Output, StringComparison.Ordinal);

        await using var demo = ChildProcess.Start("iommufd.dll", "demo", "--gateway", $"127.0.0.1:{gatewayPort}");
        Assert.True(await demo.WaitForExitAsync() == 0, demo.Output);

        await silo.SignalAsync("INT");
        Assert.True(await silo.WaitForExitAsync() == 0, silo.Output);
        Assert.Contains("silo stopped", silo.Output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task The_silo_says_where_its_dashboard_is_and_it_is_there()
    {
        var port = Ports.Free();
        await using var silo = ChildProcess.Start("iommufd-silo.dll", "--Dashboard:Enabled=true", $"--Dashboard:Port={port}", "--Silo:SiloPort=0", "--Silo:GatewayPort=0", "--Journal:Store=none");
        await silo.WaitForLineAsync("Ctrl-C drains and stops it.");
        Assert.Contains($"dashboard  http://127.0.0.1:{port}/   needs no token", silo.Output, StringComparison.Ordinal);

        using var http = new HttpClient();
        Assert.Contains("Overview", await http.GetStringAsync($"http://127.0.0.1:{port}/"), StringComparison.Ordinal);
        Assert.NotEmpty(await http.GetByteArrayAsync($"http://127.0.0.1:{port}/_framework/blazor.web.js"));

        await using var second = ChildProcess.Start("iommufd-silo.dll", "--Dashboard:Enabled=true", $"--Dashboard:Port={port}", "--Silo:SiloPort=0", "--Silo:GatewayPort=0", "--Journal:Store=none");
        Assert.Equal(2, await second.WaitForExitAsync());
        Assert.Contains($"Dashboard:Port is {port}, but 127.0.0.1:{port} is already in use", second.Output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_second_silo_on_the_same_ports_is_refused_and_the_first_goes_on()
    {
        string[] ports = [$"--Silo:SiloPort={Ports.Free()}", $"--Silo:GatewayPort={Ports.Free()}", "--Journal:Store=none"];
        await using var first = ChildProcess.Start("iommufd-silo.dll", ports);
        await first.WaitForLineAsync("Ctrl-C drains and stops it.");

        await using var second = ChildProcess.Start("iommufd-silo.dll", ports);
        Assert.Equal(2, await second.WaitForExitAsync());
        Assert.Contains($"Silo:SiloPort is {ports[0].Split('=')[1]}, but 127.0.0.1:{ports[0].Split('=')[1]} is already in use", second.Output, StringComparison.Ordinal);

        await using var demo = ChildProcess.Start("iommufd.dll", "demo", "--gateway", $"127.0.0.1:{ports[1].Split('=')[1]}");
        Assert.True(await demo.WaitForExitAsync() == 0, demo.Output);
    }

    [Fact]
    public async Task Of_two_silos_that_start_at_once_on_the_same_ports_one_is_refused()
    {
        string[] ports = [$"--Silo:SiloPort={Ports.Free()}", $"--Silo:GatewayPort={Ports.Free()}", "--Journal:Store=none"];
        await using var one = ChildProcess.Start("iommufd-silo.dll", ports);
        await using var other = ChildProcess.Start("iommufd-silo.dll", ports);

        await Eventually.TrueAsync(() => Task.FromResult(IsUp(one) ^ IsUp(other) && IsRefused(one) ^ IsRefused(other)), "one is up, the other is refused");

        static bool IsUp(ChildProcess silo) => silo.Output.Contains("silo is up", StringComparison.Ordinal);
        static bool IsRefused(ChildProcess silo) => silo.Output.Contains("is already in use", StringComparison.Ordinal);
    }

    [Fact]
    public async Task No_other_program_can_take_a_silo_s_claim_on_its_ports()
    {
        // The name by which silos once claimed a port, which any user of the machine could take.
        var port = Ports.Free();
        using var squatter = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        squatter.Bind(new UnixDomainSocketEndPoint($"\0iommufd-silo/127.0.0.1:{port}"));
        var folder = Path.Combine(Path.GetDirectoryName(TestSecret.Path)!, "ports");
        await using (var silo = ChildProcess.Start("iommufd-silo.dll", $"--Silo:SiloPort={port}", "--Journal:Store=none"))
        {
            await silo.WaitForLineAsync("Ctrl-C drains and stops it.");
            var claim = Assert.Single(Directory.GetFiles(folder, $"*-127.0.0.1-{port}"));
            if (!OperatingSystem.IsWindows())
            {
                const UnixFileMode ReadAndWrite = UnixFileMode.UserRead | UnixFileMode.UserWrite;
                Assert.Equal((ReadAndWrite, ReadAndWrite | UnixFileMode.UserExecute), (File.GetUnixFileMode(claim), File.GetUnixFileMode(folder)));
            }

            await silo.SignalAsync("TERM");
            Assert.True(await silo.WaitForExitAsync() == 0, silo.Output);
        }

        Assert.Empty(Directory.GetFiles(folder, $"*-127.0.0.1-{port}"));
    }

    [Fact]
    public async Task A_port_of_another_program_is_refused()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        var port = ((IPEndPoint)listener.LocalEndpoint).Port;
        await using var silo = ChildProcess.Start("iommufd-silo.dll", "--Silo:SiloPort=0", $"--Silo:GatewayPort={port}", "--Journal:Store=none");

        Assert.Equal(2, await silo.WaitForExitAsync());
        Assert.Contains($"Silo:GatewayPort is {port}, but 127.0.0.1:{port} is already in use", silo.Output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_silo_that_is_not_there_is_unhealthy()
    {
        await using var health = ChildProcess.Start("iommufd-silo.dll", "--health", "--Dashboard:Enabled=true", $"--Dashboard:Port={Ports.Free()}");

        Assert.Equal(1, await health.WaitForExitAsync());
        Assert.Contains("unhealthy", health.Output, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("--Silo:Clustering:Provider=nowhere", "Silo:Clustering:Provider")]
    [InlineData("--Silo:Clustering:Provider=postgres", "Silo:Clustering:ConnectionString: is missing")]
    [InlineData("--Silo:FailureDetection:MissedProbes=0", "Silo:FailureDetection:MissedProbes: ")]
    [InlineData("--Silo:FailureDetection:MaxProbeTimeout=00:00:00.5", "Silo:FailureDetection:MaxProbeTimeout: is 00:00:00.5000000; it must not be less than ProbeTimeout")]
    [InlineData("--Silo:FailureDetection:Votes=11", "Silo:FailureDetection:Votes: is 11; it must not exceed ProbedSilos, 10")]
    [InlineData("--Silo:Tls:CertificatePath=/nowhere.pfx", "Silo:Tls:CertificatePath: is '/nowhere.pfx', but there is no such file")]
    [InlineData("--Silo:Address=0.0.0.0", "Silo:Address is '0.0.0.0', which others can reach, so silos and clients must prove by certificates who they are: set Silo:Tls:CertificatePath")]
    [InlineData("--Dashboard:Address=0.0.0.0", "Dashboard:Address: is 0.0.0.0, which others can reach, so Dashboard:Token")]
    [InlineData("--Dashboard:TokenFile=/nowhere", "Dashboard:TokenFile: is '/nowhere', but there is no such file")]
    [InlineData("--Silo:Tls:CaPath=/nowhere.pem", "Silo:Tls:CaPath: is set, but CertificatePath is not")]
    public async Task A_setting_of_a_section_that_makes_no_sense_is_named_with_its_section(string argument, string message)
    {
        await using var silo = ChildProcess.Start("iommufd-silo.dll", argument, "--Dashboard:Enabled=true", "--Journal:Store=none");

        Assert.Equal(2, await silo.WaitForExitAsync());
        Assert.Contains(message, silo.Output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Telemetry_goes_where_the_environment_says()
    {
        using var collector = new TcpListener(IPAddress.Loopback, 0);
        collector.Start();
        Dictionary<string, string> environment = new()
        {
            ["OTEL_EXPORTER_OTLP_ENDPOINT"] = $"http://{collector.LocalEndpoint}",
            ["OTEL_EXPORTER_OTLP_PROTOCOL"] = "http/protobuf",
            ["OTEL_METRIC_EXPORT_INTERVAL"] = "200",
        };
        await using var silo = ChildProcess.Start(environment, "iommufd-silo.dll", "--Silo:SiloPort=0", "--Silo:GatewayPort=0", "--Journal:Store=none");

        using var limit = new CancellationTokenSource(Eventually.Limit);
        using var connection = await collector.AcceptTcpClientAsync(limit.Token);
        using var reader = new StreamReader(connection.GetStream());
        Assert.Matches("^POST /v1/(metrics|traces) HTTP/1.1$", await reader.ReadLineAsync(limit.Token));
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
    public async Task Of_several_gateways_one_that_answers_is_enough()
    {
        var gatewayPort = Ports.Free();
        await using var silo = ChildProcess.Start("iommufd-silo.dll", "--Silo:SiloPort=0", $"--Silo:GatewayPort={gatewayPort}", "--Journal:Store=none");
        await silo.WaitForLineAsync("Ctrl-C drains and stops it.");

        await using var demo = ChildProcess.Start("iommufd.dll", "demo", "--gateway", $"127.0.0.1:{Ports.Free()}", "--gateway", $"127.0.0.1:{gatewayPort}");
        Assert.True(await demo.WaitForExitAsync() == 0, demo.Output);
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
            Assert.Contains("1 sequences, 1 ioctls, 0 file steps, 1 mismatches", replay.Output, StringComparison.Ordinal);
        }
        finally
        {
            File.Delete(path);
        }
    }
}
