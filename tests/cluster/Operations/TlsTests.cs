using System.Security.Cryptography.X509Certificates;
using IommuFd.Client;
using IommuFd.GrainInterfaces;
using IommuFd.Silo.Security;

namespace IommuFd.ClusterTests.Operations;

/// <summary>Two silo processes that speak TLS to each other and to clients.</summary>
[Collection(PostgresCollection.Name)]
public sealed class TlsTests(PostgresServer postgres) : IAsyncLifetime, IDisposable
{
    private readonly TestCertificates _ours = new();
    private readonly TestCertificates _others = new();
    private SiloCluster _cluster = null!;

    public async Task InitializeAsync()
    {
        _cluster = await SiloCluster.StartAsync(await postgres.CreateDatabaseAsync(), silos: 0, $"--Silo:Tls:CaPath={_ours.CaPath}");
        var (pem, key) = _ours.MakeSiloPem("silo1");
        var (pfx, password) = _ours.MakeSiloPfx("silo2");
        _cluster.StartSilo($"--Silo:Tls:CertificatePath={pem}", $"--Silo:Tls:KeyPath={key}");
        _cluster.StartSilo($"--Silo:Tls:CertificatePath={pfx}", $"--Silo:Tls:PasswordPath={password}");
        await Task.WhenAll(_cluster.Silos.Select(silo => silo.Process.WaitForLineAsync("Ctrl-C drains and stops it.")));
    }

    public async Task DisposeAsync() => await _cluster.DisposeAsync();

    public void Dispose()
    {
        _ours.Dispose();
        _others.Dispose();
    }

    [Fact]
    public async Task Ioctls_run_on_both_silos_over_TLS_and_whoever_has_no_certificate_of_the_authority_is_refused()
    {
        using var certificate = Certificates.Load(_ours.MakeClient("sdk"), keyPath: null, password: null);
        await IoctlsRunOnBothSilosAsync(certificate);

        string[] gateway = ["demo", "--gateway", $"127.0.0.1:{_cluster.Silos[0].GatewayPort}"];
        string[] tls = ["--tls-ca", _ours.CaPath];
        Assert.Equal(0, await RunAsync([.. gateway, .. tls, "--tls-certificate", _ours.MakeClient("cli")]));

        // At once: each is given up only when a client has tried for a while.
        string[][] refused =
        [
            gateway,
            [.. gateway, .. tls],
            [.. gateway, .. tls, "--tls-certificate", _others.MakeClient("stranger")],
            [.. gateway, "--tls-ca", _others.CaPath, "--tls-certificate", _ours.MakeClient("misled")],
        ];
        Assert.All(await Task.WhenAll(refused.Select(RunAsync)), exitCode => Assert.Equal(2, exitCode));
    }

    [Fact]
    public async Task The_certificate_of_a_client_makes_nobody_a_silo()
    {
        var impostor = _cluster.StartSilo($"--Silo:Tls:CertificatePath={_ours.MakeClient("client")}", "--Silo:FailureDetection:JoinTimeout=00:00:03");

        Assert.NotEqual(0, await impostor.Process.WaitForExitAsync());
        Assert.DoesNotContain("silo is up", impostor.Process.Output, StringComparison.Ordinal);
    }

    private async Task IoctlsRunOnBothSilosAsync(X509Certificate2 certificate)
    {
        var grains = await _cluster.ConnectAsync(client => client.UseClientCertificate(certificate, _ours.CaPath));
        var client = new IommufdClient(grains);
        var silos = new HashSet<int>();
        await Eventually.TrueAsync(
            async () =>
            {
                await using var context = await client.OpenAsync("over TLS");
                await context.DestroyAsync(await context.AllocateIoasAsync());
                var silo = await grains.GetGrain<IManagementGrain>(0).GetActivationAddress(grains.GetGrain<IContextGrain>(context.Handle.Key.Value));
                silos.Add(silo!.Endpoint.Port);
                return silos.Count == 2;
            },
            "contexts on both silos, so that one is reached through the other");
    }

    private static async Task<int> RunAsync(string[] arguments)
    {
        await using var command = ChildProcess.Start("iommufd.dll", arguments);
        return await command.WaitForExitAsync();
    }
}
