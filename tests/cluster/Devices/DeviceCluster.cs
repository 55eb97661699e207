using IommuFd.Client;
using IommuFd.ClusterTests.Monitoring;

namespace IommuFd.ClusterTests.Devices;

/// <summary>The cluster that the tests of devices and accesses share: programs, drivers and onlookers each come through another silo.</summary>
public sealed class DeviceCluster : IAsyncLifetime
{
    public const string Name = "devices";
    private readonly MonitorFixture _fixture = new();

    public IommufdClient Programs { get; private set; } = null!;

    public IommufdClient Drivers { get; private set; } = null!;

    public IommufdClient Onlookers { get; private set; } = null!;

    public async Task InitializeAsync()
    {
        await _fixture.InitializeAsync();
        Programs = await _fixture.ConnectAsync(_fixture.Cluster.Silos[0]);
        Drivers = await _fixture.ConnectAsync(_fixture.Cluster.Silos[1]);
        Onlookers = await _fixture.ConnectAsync(_fixture.Cluster.Silos[2]);
    }

    public Task DisposeAsync() => _fixture.DisposeAsync();
}

[CollectionDefinition(DeviceCluster.Name)]
public sealed class DeviceClusterDefinition : ICollectionFixture<DeviceCluster>;
