using IommuFd.Grains.Configuration;
using Orleans.TestingHost;

namespace IommuFd.ClusterTests.Monitoring;

/// <summary>Three silos that tell each other what they do, as real ones.</summary>
public sealed class MonitorFixture : ClusterFixture
{
    /// <summary>A service of one of the silos.</summary>
    public static T Service<T>(SiloHandle silo)
        where T : notnull
        => (T)((InProcessSiloHandle)silo).SiloHost.Services.GetService(typeof(T))!;

    protected override void Configure(TestClusterBuilder builder) => builder.AddSiloBuilderConfigurator<Monitoring>();

    private sealed class Monitoring : ISiloConfigurator
    {
        public void Configure(ISiloBuilder siloBuilder) => siloBuilder.AddContextMonitoring();
    }
}
