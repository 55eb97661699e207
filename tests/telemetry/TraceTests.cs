using System.Diagnostics;
using IommuFd.Client;
using IommuFd.GrainInterfaces;
using IommuFd.Silo;
using IommuFd.TestSupport;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;

namespace IommuFd.TelemetryTests;

/// <summary>One ioctl is one tree of spans, and an untraced one costs nothing.</summary>
public sealed class TraceTests : IAsyncLifetime
{
    private IHost _silo = null!;
    private IommuContext _context = null!;
    private ObjectId _ioas;

    public async Task InitializeAsync()
    {
        _silo = await SiloHost.StartInProcessAsync();
        _context = await new IommufdClient(_silo.Services.GetRequiredService<IGrainFactory>()).OpenAsync("traces");
        _ioas = await _context.AllocateIoasAsync();
    }

    public async Task DisposeAsync()
    {
        HandleWatch.Shared.Opened(_context.Handle.Key.Tag);
        HandleWatch.Shared.ExpectNone();
        await _context.DisposeAsync();
        await _silo.StopAsync();
        _silo.Dispose();
    }

    [Fact]
    public async Task A_map_has_spans_of_client_context_and_object_in_one_tree()
    {
        using var reading = new SpanReading();
        using (var program = SpanReading.Program.StartActivity("program"))
        {
            await _context.MapAsync(_ioas, DmaMemory.Allocate(64 * 1024));
            Assert.Same(program, Activity.Current);
            var spans = await reading.WaitForAsync(3);
            var client = Child(spans, program!.SpanId, "iommufd.Context/IOMMU_IOAS_MAP", ActivityKind.Client);
            var turn = Child(spans, client.SpanId, "iommufd.Context/IOMMU_IOAS_MAP", ActivityKind.Server);
            var objectTurn = Child(spans, turn.SpanId, "iommufd.Ioas/Map", ActivityKind.Server);

            Assert.All(spans, span =>
            {
                Assert.Equal(program.TraceId, span.TraceId);
                Assert.Equal("orleans", Tag(span, "rpc.system.name"));
                Assert.Equal(span.DisplayName, Tag(span, "rpc.method"));
                Assert.Equal("0", Tag(span, "rpc.response.status_code"));
                Assert.Null(Tag(span, "error.type"));
                Assert.Equal(ActivityStatusCode.Unset, span.Status);
                Assert.InRange(span.StartTimeUtc, program.StartTimeUtc, DateTime.UtcNow);
            });
            Assert.Equal("IOMMU_IOAS_MAP", Tag(client, "iommufd.command"));
            Assert.Equal("IOMMU_IOAS_MAP", Tag(turn, "iommufd.command"));
            Assert.Equal("127.0.0.1", Tag(turn, "server.address"));
            Assert.Equal($"{_ioas}", Tag(objectTurn, "iommufd.object.id"));
            Assert.True(objectTurn.Duration <= client.Duration);
        }
    }

    [Fact]
    public async Task A_failing_ioctl_is_an_error_of_the_clients_and_no_span_has_a_whole_handle()
    {
        using var reading = new SpanReading();
        using (SpanReading.Program.StartActivity("program"))
        {
            await Assert.ThrowsAsync<IommufdException>(async () => await _context.DestroyAsync(new ObjectId(77)));
        }

        var spans = await reading.WaitForAsync(2);
        Assert.All(spans, span =>
        {
            Assert.Equal("ENOENT", Tag(span, "iommufd.errno"));
            Assert.Equal("ENOENT", Tag(span, "error.type"));
            Assert.Equal($"{_context.Handle.Key.Tag}", Tag(span, "iommufd.context"));
        });
        Assert.Equal(ActivityStatusCode.Error, spans.Single(span => span.Kind == ActivityKind.Client).Status);
        Assert.Equal(ActivityStatusCode.Unset, spans.Single(span => span.Kind == ActivityKind.Server).Status);

        // No text has even a quarter of the handle.
        var hidden = _context.Handle.ToString()[..8];
        var texts = spans.SelectMany(span => span.TagObjects.Select(tag => $"{tag.Value}").Concat([span.DisplayName, span.StatusDescription ?? "", span.TraceStateString ?? ""]));
        Assert.All(texts, text => Assert.DoesNotContain(hidden, text.Replace("-", "", StringComparison.Ordinal), StringComparison.OrdinalIgnoreCase));
    }

    [Fact]
    public async Task A_number_that_is_no_command_makes_no_name()
    {
        using var reading = new SpanReading();
        using (SpanReading.Program.StartActivity("program"))
        {
            await _context.IoctlAsync(0x3BFF, new byte[8]);
        }

        Assert.All(await reading.WaitForAsync(2), span =>
        {
            Assert.Equal("iommufd.Context/_OTHER", span.DisplayName);
            Assert.Equal("0x00003bff", Tag(span, "rpc.method_original"));
        });
    }

    [Fact]
    public async Task Batches_and_drivers_requests_are_traced_too()
    {
        using var reading = new SpanReading();
        using (SpanReading.Program.StartActivity("program"))
        {
            var batch = _context.CreateBatch();
            batch.Destroy(new ObjectId(77));
            batch.Destroy(new ObjectId(78));
            await batch.RunAsync();
        }

        Assert.All(await reading.WaitForAsync(2), span => Assert.Equal(("iommufd.Context/batch", "2"), (span.DisplayName, Tag(span, "iommufd.batch.size"))));
        await using var driver = await new IommufdClient(_silo.Services.GetRequiredService<IGrainFactory>()).GetDriverAsync(_context.Handle, "driver");
        using (SpanReading.Program.StartActivity("program"))
        {
            await driver.HoldAsync(_ioas, "a test");
        }

        // The IOAS's own grain counts the hold.
        var held = (await reading.WaitForAsync(5))[2..].Select(span => span.DisplayName).Order();
        Assert.Equal(["iommufd.Driver/HoldObject", "iommufd.Driver/HoldObject", "iommufd.Ioas/Hold"], held);
    }

    [Fact]
    public async Task What_belongs_to_no_trace_begins_one_where_it_is_chosen()
    {
        using (var all = new SpanReading(rootRatio: 1))
        {
            await _context.GetRlimitModeAsync();
            var spans = await all.WaitForAsync(2);
            Assert.Single(spans, span => span.ParentSpanId == default);
        }

        using var none = new SpanReading(rootRatio: 0);
        for (var i = 0; i < 100; i++)
        {
            await _context.GetRlimitModeAsync();
        }

        Assert.Empty(none.Ours());
    }

    [Fact]
    public async Task An_ioctl_that_is_not_traced_allocates_nothing_more()
    {
        IommufdTelemetry.RootRatio = 0;
        await MeasureAsync();
        var off = await MeasureAsync();
        using var reading = new SpanReading();
        using var metrics = new MetricReading(OpenTelemetry.Metrics.MetricReaderTemporalityPreference.Cumulative);
        await MeasureAsync();
        var on = await MeasureAsync();

        // The rest of the process allocates a little as well; the smallest object has 24 bytes.
        Assert.True(on - off <= 12, $"An ioctl allocates {off:0.0} bytes without listeners, {on:0.0} with them.");
    }

    // Bytes that the process allocates for one ioctl, the least of several tries.
    private async Task<double> MeasureAsync()
    {
        const int Ioctls = 10_000;
        var least = double.MaxValue;
        for (var tries = 0; tries < 5; tries++)
        {
            var before = GC.GetTotalAllocatedBytes();
            for (var i = 0; i < Ioctls; i++)
            {
                await _context.GetHugePagesAsync(_ioas);
            }

            least = Math.Min(least, (GC.GetTotalAllocatedBytes() - before) / (double)Ioctls);
        }

        return least;
    }

    private static Activity Child(List<Activity> spans, ActivitySpanId parent, string name, ActivityKind kind)
    {
        var child = Assert.Single(spans, span => span.ParentSpanId == parent);
        Assert.Equal((name, kind), (child.DisplayName, child.Kind));
        return child;
    }

    private static string? Tag(Activity span, string key) => span.GetTagItem(key)?.ToString();
}
