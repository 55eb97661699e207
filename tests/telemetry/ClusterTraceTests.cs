using System.Diagnostics;
using IommuFd.Client;
using IommuFd.Grains.Configuration;
using Orleans.TestingHost;

namespace IommuFd.TelemetryTests;

/// <summary>The tree stays one where an ioctl crosses silos, over real sockets.</summary>
public sealed class ClusterTraceTests : IAsyncLifetime
{
    private const int Contexts = 12;

    private TestCluster _cluster = null!;

    public async Task InitializeAsync()
    {
        var builder = new TestClusterBuilder(initialSilosCount: 2);
        builder.Options.ConnectionTransport = ConnectionTransportType.TcpSocket;
        builder.AddSiloBuilderConfigurator<WithContexts>();
        _cluster = builder.Build();
        await _cluster.DeployAsync();
    }

    public async Task DisposeAsync()
    {
        await _cluster.StopAllSilosAsync();
        await _cluster.DisposeAsync();
    }

    [Fact]
    public async Task Spans_of_an_ioctl_are_one_tree_on_whichever_silo_its_context_is()
    {
        var client = new IommufdClient(_cluster.Client);
        using var reading = new SpanReading();
        for (var i = 0; i < Contexts; i++)
        {
            await using var context = await client.OpenAsync("traces");
            var ioas = await context.AllocateIoasAsync();
            using (SpanReading.Program.StartActivity("program"))
            {
                await context.MapAsync(ioas, DmaMemory.Allocate(4096));
            }
        }

        var traces = (await reading.WaitForAsync(3 * Contexts)).GroupBy(span => span.TraceId).ToList();
        Assert.Equal(Contexts, traces.Count);
        Assert.All(traces, trace =>
        {
            var client = Assert.Single(trace, span => span is { Kind: ActivityKind.Client, DisplayName: "iommufd.Context/IOMMU_IOAS_MAP" });
            var turn = Assert.Single(trace, span => span.ParentSpanId == client.SpanId);
            Assert.Single(trace, span => span.ParentSpanId == turn.SpanId);
            Assert.True(turn.HasRemoteParent);
            Assert.Equal(_cluster.Options.ClusterId, client.GetTagItem("server.address"));
        });

        // Both silos had some, and the client has one gateway at a time.
        var silos = traces.SelectMany(trace => trace).Select(span => span.GetTagItem("server.port")).Where(port => port is not null).Distinct();
        Assert.Equal(2, silos.Count());
    }

    private sealed class WithContexts : ISiloConfigurator
    {
        public void Configure(ISiloBuilder siloBuilder) => siloBuilder.Services.AddContexts(new ContextOptions());
    }
}
