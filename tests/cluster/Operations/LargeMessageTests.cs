using IommuFd.Client;
using IommuFd.GrainInterfaces;
using IommuFd.Uapi;
using Orleans.Configuration;
using Orleans.Runtime.Placement;
using Orleans.TestingHost;

namespace IommuFd.ClusterTests.Operations;

/// <summary>Three silos whose messages may have 4 MiB: what is larger than a message is quick to make.</summary>
public sealed class SmallMessageFixture : ClusterFixture
{
    public const int MaxMessageBytes = 4 << 20;

    protected override void Configure(TestClusterBuilder builder) => builder.AddSiloBuilderConfigurator<SmallMessages>();

    private sealed class SmallMessages : ISiloConfigurator
    {
        public void Configure(ISiloBuilder siloBuilder) => siloBuilder.Configure<SiloMessagingOptions>(messaging => messaging.MaxMessageBodySize = MaxMessageBytes);
    }
}

/// <summary>Answers and contexts that are larger than a message may be.</summary>
public sealed class LargeMessageTests(SmallMessageFixture fixture) : IClassFixture<SmallMessageFixture>
{
    private const int MiB = 1 << 20;
    private const ulong Base = 0x200_0000;
    private const ulong IommuPage = 2048;

    // With a bit for each byte, 8 MiB have a bitmap of 1 MiB.
    private const ulong Part = 8 * MiB;

    [Fact]
    public async Task A_batch_that_could_answer_too_much_is_E2BIG_and_clears_no_dirty_bit()
    {
        var client = await fixture.ConnectAsync(fixture.Cluster.Silos[0]);
        await using var context = await client.OpenAsync("migration");
        await using var driver = await client.GetDriverAsync(context.Handle, "vfio-pci");
        var hwpt = await WrittenAsync(context, driver, 1);

        var refused = await Assert.ThrowsAsync<IommufdException>(() => Read(context, hwpt, Enumerable.Repeat(0, 120), new CallerMemory()).RunAsync());

        Assert.Equal((Errno.E2BIG, DiagnosticReason.AnswerTooLarge), (refused.Errno, refused.Diagnostic?.Reason));
        var dirty = await context.GetDirtyBitmapAsync(hwpt, Range(0), IommuPage);
        Assert.Equal(Part / IommuPage, dirty.DirtyPages);
    }

    [Fact]
    public async Task A_long_answer_of_a_batch_arrives_whole_and_all_that_was_read_is_clean()
    {
        const int Parts = 12;
        var client = await fixture.ConnectAsync(fixture.Cluster.Silos[1]);
        await using var context = await client.OpenAsync("migration");
        await using var driver = await client.GetDriverAsync(context.Handle, "vfio-pci");
        var hwpt = await WrittenAsync(context, driver, Parts);
        var bitmap = new byte[Parts * MiB];

        var results = await Read(context, hwpt, Enumerable.Range(0, Parts), new CallerMemory().Add(Base, bitmap)).RunAsync();

        Assert.All(results, result => Assert.Equal(Errno.None, result.Errno));
        Assert.Equal(-1, bitmap.AsSpan().IndexOfAnyExcept((byte)0xFF));
        for (var part = 0; part < Parts; part++)
        {
            Assert.Equal(0UL, (await context.GetDirtyBitmapAsync(hwpt, Range(part), IommuPage)).DirtyPages);
        }
    }

    [Fact]
    public async Task A_context_larger_than_a_message_is_handed_over_whole()
    {
        const int Devices = 2_000;
        var random = new Random(1);
        var leaving = fixture.Cluster.SecondarySilos[^1];
        var client = await fixture.ConnectAsync(fixture.Cluster.Silos[0]);
        var context = await OpenOnAsync(client, leaving);
        await using var driver = await client.GetDriverAsync(context.Handle, "vfio-pci");
        var regions = Enumerable.Range(0, IoctlLimits.MaxReservedRegions).Select(_ => (ulong)random.NextInt64(long.MaxValue)).Select(start => new IovaRange(start, start + 0xFFF)).ToArray();
        var devices = await Task.WhenAll(Enumerable.Range(0, Devices).Select(i => driver.BindDeviceAsync(new DeviceDescription { Name = $"device {i}", ReservedRegions = [.. regions] })));
        var before = await context.InspectAsync();

        await fixture.Cluster.StopSiloAsync(leaving).WaitAsync(Eventually.Limit);

        var after = await context.InspectAsync();
        Assert.NotEqual(before.Silo, after.Silo);
        Assert.Equal(Devices, after.ObjectCount);
        Assert.Equal(before.Objects.Select(item => (item.Object, item.Users)), after.Objects.Select(item => (item.Object, item.Users)));
        Assert.Equal(regions, Assert.IsType<DeviceState>((await context.InspectObjectAsync(devices[^1].Id, default))?.State).Device.ReservedRegions);
        await devices[^1].UnbindAsync();
    }

    // Where a context is placed is left to Orleans, which may prefer other silos for ever.
    private static async Task<IommuContext> OpenOnAsync(IommufdClient client, SiloHandle silo)
    {
        RequestContext.Set(IPlacementDirector.PlacementHintKey, silo.SiloAddress);
        var context = await client.OpenAsync("large", ContextMode.Volatile);
        RequestContext.Remove(IPlacementDirector.PlacementHintKey);
        Assert.Contains(silo.SiloAddress.Endpoint.Port.ToString(System.Globalization.CultureInfo.InvariantCulture), (await context.InspectAsync()).Silo, StringComparison.Ordinal);
        return context;
    }

    // A page table of which every page was written.
    private static async Task<ObjectId> WrittenAsync(IommuContext context, IommuDriver driver, int parts)
    {
        var ioas = await context.AllocateIoasAsync();
        var device = await driver.BindDeviceAsync(new DeviceDescription { Name = "0000:01:00.0" });
        var hwpt = await context.AllocateHwptAsync(device.Id, ioas, IommuHwptAllocFlags.DirtyTracking);
        var length = (ulong)parts * Part;
        await context.MapAsync(ioas, DmaMemory.Allocate((int)length), new Iova(Base));
        await context.SetDirtyTrackingAsync(hwpt, enable: true);
        var bits = new byte[length / IommuPage / 8];
        Array.Fill(bits, (byte)0xFF);
        var command = new IommuTestCmd { Op = (uint)IommuTestOp.Dirty, Id = hwpt.Value };
        command.Fields.Set(new IommuTestDirty { Iova = Base, Length = length, PageSize = IommuPage, Uptr = Base });
        var result = await RunAsync(context, IommuCommand.TestCmd, command, new CallerMemory().Add(Base, bits));
        Assert.Equal(Errno.None, result.Errno);
        return hwpt;
    }

    private static async Task<IoctlResult> RunAsync<T>(IommuContext context, IommuCommand command, T argument, CallerMemory memory)
        where T : unmanaged
        => (await context.CreateBatch().Add((uint)command, Add(memory, 0x1000, argument), memory).RunAsync())[0];

    private static IoctlBatch Read(IommuContext context, ObjectId hwpt, IEnumerable<int> parts, CallerMemory memory)
    {
        var batch = context.CreateBatch();
        var address = 0x1000UL;
        foreach (var part in parts)
        {
            var command = new IommuHwptGetDirtyBitmap { HwptId = hwpt.Value, Iova = Range(part).Start, Length = Part, PageSize = 1, Data = Base + ((ulong)part * MiB) };
            batch.Add((uint)IommuCommand.HwptGetDirtyBitmap, Add(memory, address, command), memory);
            address += 0x1000;
        }

        return batch;
    }

    private static ulong Add<T>(CallerMemory memory, ulong address, T argument)
        where T : unmanaged
    {
        var bytes = UapiStruct.ToBytes(in argument);
        BitConverter.TryWriteBytes(bytes, bytes.Length);
        memory.Add(address, bytes);
        return address;
    }

    private static IovaRange Range(int part) => new(Base + ((ulong)part * Part), Base + ((ulong)(part + 1) * Part) - 1);
}
