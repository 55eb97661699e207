using System.Runtime.Versioning;
using IommuFd.GrainInterfaces.Security;

namespace IommuFd.ClusterTests.Security;

/// <summary>What people see of the secret: at the start of a silo, and at a prompt.</summary>
[SupportedOSPlatform("linux")]
public sealed class SecretSettingTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("iommufd-secret-").FullName;
    private readonly int _gatewayPort = Ports.Free();

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public async Task A_silo_makes_its_secret_says_where_it_is_and_a_client_with_another_one_or_none_is_told()
    {
        var path = Path.Combine(_folder, "secret");
        await using var silo = StartSilo($"--Silo:SecretPath={path}");
        await silo.WaitForLineAsync($"know the secret in {path}");

        await RunDemoAsync(0, path, "IOMMU_IOAS_ALLOC");
        var other = Path.Combine(_folder, "other");
        SecretFile.ReadOrCreate(other);
        await RunDemoAsync(2, other, "The silo refused the secret: it runs as another user");
        var nowhere = Path.Combine(_folder, "nowhere");
        await RunDemoAsync(2, nowhere, $"The silo's secret, '{nowhere}', is not there. A silo makes it");
    }

    [Fact]
    public async Task A_silo_that_asks_for_no_secret_says_so_and_a_client_must_be_told()
    {
        var path = Path.Combine(_folder, "secret");
        SecretFile.ReadOrCreate(path);
        await using var silo = StartSilo("--Silo:Secret=none");
        await silo.WaitForLineAsync("Silo:Secret is none");
        await silo.WaitForLineAsync("Ctrl-C drains and stops it.");

        await RunDemoAsync(0, path, "IOMMU_IOAS_ALLOC", "--no-secret");
        await RunDemoAsync(2, path, "The peer asked for no secret within 4 s");
    }

    [Fact]
    public async Task A_silo_does_not_start_with_a_secret_that_others_can_read()
    {
        var path = Path.Combine(_folder, "secret");
        SecretFile.ReadOrCreate(path);
        File.SetUnixFileMode(path, UnixFileMode.UserRead | UnixFileMode.OtherRead);
        await using var silo = StartSilo($"--Silo:SecretPath={path}");

        Assert.Equal(2, await silo.WaitForExitAsync());
        Assert.Contains($"The silo's secret, '{path}', can be read or written by other users (mode 404)", silo.Output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Proved_connections_are_bounded_too()
    {
        await using var silo = StartSilo("--Silo:MaxConnections=1");
        await silo.WaitForLineAsync("Ctrl-C drains and stops it.");
        var secret = SecretFile.Read(TestSecret.Path);
        using var first = await RawPeer.ConnectProvedAsync(_gatewayPort, secret);
        using var second = await RawPeer.ConnectAsync(_gatewayPort);

        // The end of the connection comes right behind the silo's own proof, which may be lost.
        await Record.ExceptionAsync(() => SecretHandshake.ProveAsync(second, secret, PortKind.Clients, CancellationToken.None));
        Assert.Equal(0, await second.ReadToEndAsync());
        await silo.WaitForLineAsync("Silo:MaxConnections is 1");
    }

    private ChildProcess StartSilo(string setting)
        => ChildProcess.Start("iommufd-silo.dll", "--Silo:SiloPort=0", $"--Silo:GatewayPort={_gatewayPort}", "--Journal:Store=none", setting);

    /// <summary>Runs the command line with a secret, and looks at its exit status and at what it prints.</summary>
    private async Task RunDemoAsync(int status, string secretPath, string text, params string[] arguments)
    {
        await using var demo = ChildProcess.Start(
            new Dictionary<string, string> { [TestSecret.Variable] = secretPath }, "iommufd.dll", ["demo", "--gateway", $"127.0.0.1:{_gatewayPort}", .. arguments]);

        Assert.True(await demo.WaitForExitAsync() == status, $"exit status {status} was expected:\n{demo.Output}");
        Assert.Contains(text, demo.Output, StringComparison.Ordinal);
    }
}
