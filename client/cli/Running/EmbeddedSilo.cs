using IommuFd.Cli.Recording;
using IommuFd.Silo;
using IommuFd.Silo.Gateway;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Console;

namespace IommuFd.Cli.Running;

// Nothing of a silo is loaded where one is up: the types are named in methods that do not run then.

/// <summary>A silo in this process, for one program; or none, where a silo is up.</summary>
internal sealed class EmbeddedSilo : IDisposable
{
    private readonly PrivateFolder? _folder;

    private EmbeddedSilo(string socket, PrivateFolder? folder) => (Socket, _folder) = (socket, folder);

    /// <summary>The Unix socket of its gateway, or that of the silo that is up.</summary>
    public string Socket { get; }

    /// <summary>Whether it is a silo for one program.</summary>
    public bool IsOwn => _folder is not null;

    /// <summary>Starts a silo, unless one is up.</summary>
    /// <param name="socket">The socket of a silo that is up, or null.</param>
    /// <param name="recorder">What records the programs of a silo that starts; null for nothing.</param>
    /// <param name="devices">The devices of a silo that starts.</param>
    /// <param name="lockedMemory">How much its programs may have pinned; null for no limit.</param>
    public static async Task<EmbeddedSilo> StartUnlessAsync(string? socket, Recorder? recorder, string[] devices, string? lockedMemory)
    {
        if (socket is not null)
        {
            return new EmbeddedSilo(socket, null);
        }

        var folder = new PrivateFolder();
        socket = folder.Socket("gateway.sock");
        await StartAsync(socket, recorder, devices, lockedMemory);
        return new EmbeddedSilo(socket, folder);
    }

    // The silo ends with this process, at once: its contexts are volatile, so there is nothing to end in order.
    public void Dispose() => _folder?.Dispose();

    private static async Task StartAsync(string socket, Recorder? recorder, string[] devices, string? lockedMemory)
    {
        var gateway = new GatewaySettings { Path = socket, LockedMemory = lockedMemory };
        gateway.Devices.AddRange(devices);
        var host = await SiloHost.StartInProcessAsync(
            silo =>
            {
                Configure(silo);
                recorder?.AddTo(silo);
            }, gateway: gateway);
        recorder?.Started(host.Services);
    }

    // stdout and signals are the program's.
    private static void Configure(ISiloBuilder silo) => silo.Services
        .Configure<ConsoleLoggerOptions>(console => console.LogToStandardErrorThreshold = LogLevel.Trace)
        .AddSingleton<IHostLifetime, NoLifetime>();

    /// <summary>Lets no signal stop the host.</summary>
    private sealed class NoLifetime : IHostLifetime
    {
        public Task WaitForStartAsync(CancellationToken cancellationToken) => Task.CompletedTask;

        public Task StopAsync(CancellationToken cancellationToken) => Task.CompletedTask;
    }
}
