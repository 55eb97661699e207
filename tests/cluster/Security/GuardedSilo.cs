using System.Buffers;
using System.Buffers.Binary;
using System.Net;
using System.Net.Sockets;
using IommuFd.Client;
using IommuFd.GrainInterfaces.Security;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Orleans.Configuration;

namespace IommuFd.ClusterTests.Security;

/// <summary>A silo process whose peers must know a secret, as one runs on loopback by default.</summary>
public sealed class GuardedSilo : IAsyncLifetime
{
    private ChildProcess _process = null!;
    private Task<byte[]>? _preamble;

    public int SiloPort { get; } = Ports.Free();

    public int GatewayPort { get; } = Ports.Free();

    /// <summary>The secret, which the silo has made.</summary>
    public byte[] Secret { get; private set; } = [];

    /// <summary>The bytes of memory that it has in use.</summary>
    public long WorkingSet => _process.WorkingSet;

    public async Task InitializeAsync()
    {
        // With Orleans' dashboard, as a silo has by default: it listens to Orleans' meter.
        _process = ChildProcess.Start(
            new Dictionary<string, string> { ["Dashboard__Enabled"] = "true" }, "iommufd-silo.dll", $"--Silo:SiloPort={SiloPort}", $"--Silo:GatewayPort={GatewayPort}", $"--Dashboard:Port={Ports.Free()}", "--Journal:Store=none");
        await _process.WaitForLineAsync("Ctrl-C drains and stops it.");
        Secret = SecretFile.Read(TestSecret.Path);
    }

    public async Task DisposeAsync() => await _process.DisposeAsync();

    /// <summary>Waits until it has printed a line that contains a text.</summary>
    public Task PrintsAsync(string text) => _process.WaitForLineAsync(text);

    /// <summary>The port of a kind.</summary>
    internal int PortOf(PortKind kind) => kind == PortKind.Silos ? SiloPort : GatewayPort;

    /// <summary>Connects as a program does, and has a request answered.</summary>
    public async Task AnswersAsync()
    {
        Assert.False(_process.HasExited, $"the silo has ended:\n{_process.Output}");
        using var host = Client(new IPEndPoint(IPAddress.Loopback, GatewayPort));
        await host.StartAsync();
        await using (var context = await new IommufdClient(host.Services.GetRequiredService<IGrainFactory>()).OpenAsync())
        {
            await context.DestroyAsync(await context.AllocateIoasAsync());
        }

        await host.StopAsync();
    }

    /// <summary>How Orleans' client introduces itself behind the handshake: what one sent to a port of this test.</summary>
    public Task<byte[]> PreambleAsync() => _preamble ??= RecordPreambleAsync();

    private async Task<byte[]> RecordPreambleAsync()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        using var limit = new CancellationTokenSource(Eventually.Limit);
        using var host = Client((IPEndPoint)listener.LocalEndpoint);
        var connecting = host.StartAsync(limit.Token);
        using var connection = await listener.AcceptTcpClientAsync(limit.Token);
        var peer = new StreamPipe(connection.GetStream());
        Assert.Equal(PeerProof.Given, await SecretHandshake.CheckAsync(peer, Secret, PortKind.Clients, limit.Token));
        var start = (await peer.Input.ReadAtLeastAsync(sizeof(int), limit.Token)).Buffer;
        var size = sizeof(int) + BinaryPrimitives.ReadInt32LittleEndian(start.Slice(0, sizeof(int)).ToArray());
        peer.Input.AdvanceTo(start.Start, start.End);
        var preamble = (await peer.Input.ReadAtLeastAsync(size, limit.Token)).Buffer.Slice(0, size).ToArray();
        await limit.CancelAsync();
        await Assert.ThrowsAnyAsync<Exception>(() => connecting);
        return preamble;
    }

    /// <summary>A client that knows the secret. The caller starts and stops it.</summary>
    internal static IHost Client(IPEndPoint gateway)
    {
        var builder = Host.CreateEmptyApplicationBuilder(null);
        builder.UseOrleansClient(client => client
            .UseStaticClustering(gateway)
            .UseIommufdSecret(TestSecret.Path)
            .Configure<ClusterOptions>(cluster => (cluster.ClusterId, cluster.ServiceId) = ("iommufd", "iommufd")));
        return builder.Build();
    }
}
