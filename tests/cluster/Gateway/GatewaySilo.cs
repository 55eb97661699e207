using IommuFd.Silo;
using IommuFd.Silo.Gateway;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Orleans.Configuration;

namespace IommuFd.ClusterTests.Gateway;

/// <summary>A silo in this process with a gateway in a folder of its own.</summary>
public sealed class GatewaySilo : IAsyncLifetime, IAsyncDisposable
{
    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("iommufd-gateway-");
    private IHost? _host;

    public string Path => System.IO.Path.Combine(_folder.FullName, "socket");

    public IServiceProvider Services => _host!.Services;

    /// <summary>Starts one with other limits.</summary>
    internal static async Task<GatewaySilo> StartAsync(Action<GatewaySettings> configure)
    {
        var silo = new GatewaySilo();
        var settings = new GatewaySettings { Path = silo.Path };
        configure(settings);
        silo._host = await StartAsync(settings);
        return silo;
    }

    // What it says of each connection that it ends is not to be read among a test's output. Orleans remembers where a million grains were, also when they are no more.
    private static Task<IHost> StartAsync(GatewaySettings settings)
        => SiloHost.StartInProcessAsync(
            silo => silo.ConfigureLogging(logging => logging.AddFilter("IommuFd.Silo.Gateway", LogLevel.Error)).Configure<GrainDirectoryOptions>(directory => directory.CacheSize = 1000), gateway: settings);

    public async Task InitializeAsync() => _host = await StartAsync(new GatewaySettings { Path = Path });

    // A request for refused DMA activates the grain that collects the list, and that stays.

    /// <summary>How many contexts and objects are active in the silo.</summary>
    public async Task<int> ActivationsAsync()
        => (await Services.GetRequiredService<IGrainFactory>().GetGrain<IManagementGrain>(0).GetSimpleGrainStatistics())
            .Where(grain => grain.GrainType.Contains("IommuFd", StringComparison.Ordinal) && !grain.GrainType.Contains("Monitor", StringComparison.Ordinal)).Sum(grain => grain.ActivationCount);

    /// <summary>Stops the silo.</summary>
    public async Task StopAsync()
    {
        if (_host is { } host)
        {
            _host = null;
            await host.StopAsync();
            await ((IAsyncDisposable)host).DisposeAsync();
        }
    }

    Task IAsyncLifetime.DisposeAsync() => DisposeAsync().AsTask();

    public async ValueTask DisposeAsync()
    {
        await StopAsync();
        _folder.Delete(recursive: true);
    }
}
