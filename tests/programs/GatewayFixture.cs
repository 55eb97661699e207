using IommuFd.GrainInterfaces;
using IommuFd.Silo;
using IommuFd.Silo.Gateway;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Xunit;

namespace IommuFd.ProgramTests;

/// <summary>A silo in this process, with a gateway for the programs of all tests.</summary>
public sealed class GatewayFixture : IAsyncLifetime
{
    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("iommufd-tests-");
    private IHost? _host;

    /// <summary>The gateway's Unix socket.</summary>
    public string Socket => Path.Combine(_folder.FullName, "gateway.sock");

    /// <summary>Monitors the silo.</summary>
    public IMonitorGrain Monitor => _host!.Services.GetRequiredService<IGrainFactory>().GetGrain<IMonitorGrain>(0);

    /// <summary>A file that no other test uses.</summary>
    public string NewFile() => Path.Combine(_folder.FullName, Path.GetRandomFileName());

    public async Task InitializeAsync() => _host = await SiloHost.StartInProcessAsync(gateway: new GatewaySettings { Path = Socket });

    public async Task DisposeAsync()
    {
        await _host!.StopAsync();
        _host.Dispose();
        _folder.Delete(recursive: true);
    }
}

[CollectionDefinition(Name)]
public sealed class GatewayCollection : ICollectionFixture<GatewayFixture>
{
    public const string Name = "gateway";
}
