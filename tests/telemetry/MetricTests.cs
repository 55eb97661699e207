using IommuFd.Client;
using IommuFd.GrainInterfaces;
using IommuFd.Grains.Configuration;
using IommuFd.Grains.Telemetry;
using IommuFd.Silo;
using IommuFd.TestSupport;
using IommuFd.Uapi;
using Microsoft.Extensions.DependencyInjection;
using OpenTelemetry.Metrics;

namespace IommuFd.TelemetryTests;

/// <summary>What is exported is what was done, whether a reader gets sums or what has come since.</summary>
public sealed class MetricTests
{
    private const string None = "0";

    public static TheoryData<MetricReaderTemporalityPreference> Temporalities => [MetricReaderTemporalityPreference.Cumulative, MetricReaderTemporalityPreference.Delta];

    [Theory]
    [MemberData(nameof(Temporalities))]
    public async Task Ioctls_are_counted_by_command_and_errno(MetricReaderTemporalityPreference temporality)
    {
        using var silo = await SiloHost.StartInProcessAsync();
        using var reading = new MetricReading(temporality);
        var client = new IommufdClient(silo.Services.GetRequiredService<IGrainFactory>());
        await using var context = await client.OpenAsync("metrics");
        await context.AllocateIoasAsync();
        await context.AllocateIoasAsync();
        await FailAsync(context, 3);
        await context.IoctlAsync(0xFFFF_FFFF, new byte[8]);
        var batch = context.CreateBatch();
        batch.AllocateIoas();
        batch.Destroy(new ObjectId(99));
        await batch.RunAsync();

        var ioctls = reading.Collect()[InstrumentNames.Ioctls];
        Assert.Equal(("{ioctl}", MetricType.LongSum), (ioctls.Unit, ioctls.Type));
        Assert.Equal(temporality == MetricReaderTemporalityPreference.Delta ? AggregationTemporality.Delta : AggregationTemporality.Cumulative, ioctls.Temporality);
        Assert.Equal(3, Count(ioctls, "IOMMU_IOAS_ALLOC", None));
        Assert.Equal(4, Count(ioctls, "IOMMU_DESTROY", nameof(Errno.ENOENT)));
        Assert.Equal(1, Count(ioctls, "_OTHER", nameof(Errno.ENOTTY)));
        Assert.Equal(8, ioctls.Points.Sum(point => point.Value));

        await FailAsync(context, 2);
        ioctls = reading.Collect()[InstrumentNames.Ioctls];
        var isDelta = temporality == MetricReaderTemporalityPreference.Delta;
        Assert.Equal(isDelta ? 2 : 6, Count(ioctls, "IOMMU_DESTROY", nameof(Errno.ENOENT)));
        Assert.Equal(isDelta ? 0 : 3, Count(ioctls, "IOMMU_IOAS_ALLOC", None));
        await silo.StopAsync();
    }

    [Theory]
    [MemberData(nameof(Temporalities))]
    public async Task Contexts_objects_and_holds_are_those_that_are_there_and_go_with_their_silo(MetricReaderTemporalityPreference temporality)
    {
        using var reading = new MetricReading(temporality);
        using (var silo = await SiloHost.StartInProcessAsync())
        {
            var client = new IommufdClient(silo.Services.GetRequiredService<IGrainFactory>());
            await using var context = await client.OpenAsync("metrics");
            var ioas = await context.AllocateIoasAsync();
            await using var driver = await client.GetDriverAsync(context.Handle, "driver");
            await using var device = await driver.BindDeviceAsync(new DeviceDescription { Name = "0000:01:00.0", Iommu = DeviceDescription.PciIommu });
            Assert.Equal(Errno.EINVAL, (await device.TranslateAsync(new[] { new DmaRange(0, 1) }, write: false)).Errno);
            Assert.Equal(1, reading.Collect()[InstrumentNames.DmaFaults][[]]);
            await using (await driver.HoldAsync(ioas, "a test"))
            {
                var metrics = reading.Collect();
                Assert.Equal(1, metrics[InstrumentNames.Contexts][(InstrumentNames.Mode, "volatile")]);
                Assert.Equal(0, metrics[InstrumentNames.Contexts][(InstrumentNames.Mode, "durable")]);
                Assert.Equal(1, metrics[InstrumentNames.Objects][(InstrumentNames.ObjectType, "IOAS")]);
                Assert.Equal(1, metrics[InstrumentNames.Objects][(InstrumentNames.ObjectType, "device")]);
                Assert.Equal(1, metrics[InstrumentNames.Holds][(InstrumentNames.ObjectType, "IOAS")]);
                Assert.Equal("{context}", metrics[InstrumentNames.Contexts].Unit);
            }

            var later = reading.Collect();
            Assert.Equal(0, later[InstrumentNames.Holds][(InstrumentNames.ObjectType, "IOAS")]);
            await silo.StopAsync();
        }

        // A gauge that nobody writes any more is told a last time at most.
        reading.Collect();
        Assert.DoesNotContain(reading.Collect(), metric => metric.Key == InstrumentNames.Contexts && metric.Value.Points.Any(point => point.Value > 0));
    }

    [Theory]
    [MemberData(nameof(Temporalities))]
    public async Task Turns_waits_and_expired_leases_are_measured(MetricReaderTemporalityPreference temporality)
    {
        // One in 1024 says when it was sent: so many that the chance of none is below 10^-6.
        const int Ioctls = 16_000;
        var expiry = new AwaitedLog("LeaseExpired");
        using var silo = await SiloHost.StartInProcessAsync(expiry.Register, new ContextOptions { Lease = TimeSpan.FromSeconds(1) });
        using var reading = new MetricReading(temporality);
        var grains = silo.Services.GetRequiredService<IGrainFactory>();
        await using var context = await new IommufdClient(grains).OpenAsync("metrics");
        await FailAsync(context, Ioctls);

        var metrics = reading.Collect();
        var turns = Assert.Single(metrics[InstrumentNames.TurnDuration].Points);
        Assert.Equal("s", metrics[InstrumentNames.TurnDuration].Unit);
        Assert.Equal(Ioctls / 16, turns.Value);
        Assert.InRange(turns.Sum / turns.Value, 1e-8, 1);
        var waits = Assert.Single(metrics[InstrumentNames.QueueDuration].Points);
        Assert.InRange(waits.Value, 1, Ioctls / 100);
        Assert.InRange(waits.Sum / waits.Value, 0, 10);

        // Closed, so that on a starved machine its lease can't expire as well. Nobody renews what is opened without the SDK.
        await context.CloseAsync();
        await new GrainChannel(grains).Find(ContextHandle.NewRandom()).OpenAsync(new OpenRequest(ContextMode.Volatile, "nobody", 7, 0));
        await expiry.LoggedAsync();
        Assert.Equal(1, reading.Collect()[InstrumentNames.LeaseExpiries][[]]);
        await silo.StopAsync();
    }

    [Fact]
    public async Task Journal_writes_and_recoveries_are_measured()
    {
        await using var place = new SqliteJournalPlace();
        var durable = new ContextOptions { DefaultMode = ContextMode.Durable };
        ContextHandle handle;
        using (var reading = new MetricReading(MetricReaderTemporalityPreference.Cumulative))
        using (var first = await SiloHost.StartInProcessAsync(contexts: durable, journal: place.Settings))
        {
            var client = new IommufdClient(first.Services.GetRequiredService<IGrainFactory>());
            var context = await client.OpenAsync("metrics");
            handle = context.Handle;
            await context.AllocateIoasAsync();
            await FailAsync(context, 2);

            var metrics = reading.Collect();
            var writes = metrics[InstrumentNames.JournalAppendDuration];
            Assert.Equal("s", writes.Unit);
            Assert.Equal(2, writes[(InstrumentNames.Operation, "append")]);
            Assert.Equal(2, writes[(InstrumentNames.Operation, "confirm")]);
            Assert.Equal(4, metrics[InstrumentNames.JournalCommitSize].Points.Single().Sum);
            Assert.Equal(1, metrics[InstrumentNames.Contexts][(InstrumentNames.Mode, "durable")]);
            Assert.Equal(0, metrics[InstrumentNames.Recoveries][[]]);
            client.Stop();
            await first.StopAsync();
        }

        using (var second = await SiloHost.StartInProcessAsync(contexts: durable, journal: place.Settings))
        using (var reading = new MetricReading(MetricReaderTemporalityPreference.Cumulative))
        {
            await using var again = await new IommufdClient(second.Services.GetRequiredService<IGrainFactory>()).DuplicateAsync(handle, "again");
            var metrics = reading.Collect();
            Assert.Equal(1, metrics[InstrumentNames.Recoveries][[]]);
            Assert.Equal(1, metrics[InstrumentNames.RecoveryDuration].Points.Single().Value);
            Assert.Equal(1, metrics[InstrumentNames.Objects][(InstrumentNames.ObjectType, "IOAS")]);
            await second.StopAsync();
        }
    }

    [Fact]
    public async Task Every_instrument_has_a_unit_and_a_description_and_is_documented()
    {
        var operations = await File.ReadAllTextAsync(Path.Combine(AppContext.BaseDirectory, "operations.md"));
        using var silo = await SiloHost.StartInProcessAsync();
        using var reading = new MetricReading(MetricReaderTemporalityPreference.Cumulative);
        Assert.All(reading.Collect().Values, metric => Assert.False(string.IsNullOrEmpty(metric.Unit) || string.IsNullOrEmpty(metric.Description), metric.Name));
        var names = typeof(InstrumentNames).GetFields().Select(field => (string)field.GetRawConstantValue()!);
        Assert.All(names, name => Assert.Contains($"`{name}`", operations, StringComparison.Ordinal));
        await silo.StopAsync();
    }

    private static double Count(Exported ioctls, string command, string errno) => ioctls[(InstrumentNames.Command, command), (InstrumentNames.Errno, errno)];

    private static async Task FailAsync(IommuContext context, int times)
    {
        for (var i = 0; i < times; i++)
        {
            var result = await context.IoctlAsync(IommuCommand.Destroy, new IommuDestroy { Id = 1_000_000 });
            Assert.Equal(Errno.ENOENT, result.Errno);
        }
    }
}
