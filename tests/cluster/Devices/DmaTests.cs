using IommuFd.Client;
using IommuFd.Devices.DmaTest;
using IommuFd.Devices.Pci;
using IommuFd.Devices.Vfio;
using IommuFd.GrainInterfaces;
using IommuFd.Uapi;
using static IommuFd.Devices.DmaTest.DmaTestRegister;

namespace IommuFd.ClusterTests.Devices;

/// <summary>Emulated devices that reach memory through the IOVAs of a context on a cluster: the program, the device and the context are on three silos.</summary>
[Collection(DeviceCluster.Name)]
public sealed class DmaTests(DeviceCluster cluster) : DeviceContext(cluster)
{
    private const VfioPciRegion Bar = VfioPciRegion.Bar0;

    [Fact]
    public async Task Bytes_are_right_behind_the_IOVAs_after_a_map_an_unmap_and_a_remap()
    {
        await using var bench = await BenchAsync();
        var first = Pages(2);
        await Context.MapAsync(Ioas, first, new Iova(Base));
        Assert.Equal(DmaTestResult.Done, await bench.FillAsync(Base + 4000, 200, 0x1111_1111));
        Assert.Equal((0, 0x11, 0x11, 0), (first.Span[3999], first.Span[4000], first.Span[4199], first.Span[4200]));

        await Context.UnmapAsync(Ioas, Range(Base, 2 * Page));
        first.Span.Clear();
        Assert.Equal(DmaTestResult.Refused, await bench.FillAsync(Base + 4000, 200, 0x2222_2222));
        Assert.True(first.Span.IndexOfAnyExcept((byte)0) < 0, "what is unmapped is not written");

        var second = Pages(1);
        await Context.MapAsync(Ioas, second, new Iova(Base));
        Assert.Equal(DmaTestResult.Done, await bench.FillAsync(Base, (uint)Page, 0x3333_3333));
        Assert.True(second.Span.IndexOfAnyExcept((byte)0x33) < 0, "the new mapping is written");
        Assert.True(first.Span.IndexOfAnyExcept((byte)0) < 0, "the memory of the earlier mapping is not");
    }

    [Fact]
    public async Task What_is_refused_is_counted_and_shown_by_the_devices_object()
    {
        await using var bench = await BenchAsync();
        var readOnly = Pages(1);
        await Context.MapAsync(Ioas, readOnly, new Iova(Base), DmaAccess.Read);
        Assert.Equal(DmaTestResult.Refused, await bench.FillAsync(Base + 16, 4, 1));
        Assert.Equal(DmaTestResult.Refused, await bench.FillAsync(Base + Page, 4, 1));
        await bench.Device.DetachAsync();
        Assert.Equal(DmaTestResult.Refused, await bench.FillAsync(Base, 4, 1));

        Assert.True(readOnly.Span.IndexOfAnyExcept((byte)0) < 0, "a mapping for reading is not written");
        var state = await StateAsync<DeviceState>(bench.Device.Id);
        Assert.Equal((3UL, new DmaFault(Errno.EINVAL, Base, true, 0)), (state.DmaFaults, state.LastDmaFault));
        var shown = (await Context.InspectAsync(withState: true)).Objects.Single(item => item.Object.Id == bench.Device.Id);
        Assert.Contains("3 refused DMA", shown.Summary, StringComparison.Ordinal);
    }

    [Fact]
    public async Task The_dirty_bitmap_names_the_pages_that_DMA_has_written_and_no_others()
    {
        await using var bench = await BenchAsync(attach: false);
        await Context.MapAsync(Ioas, Pages(16), new Iova(Base));
        var hwpt = await Context.AllocateHwptAsync(bench.Device.Id, Ioas, IommuHwptAllocFlags.DirtyTracking);
        await bench.Device.AttachAsync(hwpt);
        await bench.FillAsync(Base + (9 * Page), 1, 1);
        await Context.SetDirtyTrackingAsync(hwpt, enable: true);

        await bench.FillAsync(Base + Page - 1, 2, 1);
        await bench.FillAsync(Base + (5 * Page), (uint)(2 * Page), 1);
        Assert.Equal(DmaTestResult.Done, await bench.RunAsync(DmaTestCommand.Check, Base + (5 * Page), 0, 8, 1));
        Assert.Equal(DmaTestResult.Refused, await bench.FillAsync(Base + (15 * Page), (uint)(2 * Page), 1));

        var bitmap = await Context.GetDirtyBitmapAsync(hwpt, Range(Base, 16 * Page), Page);
        Assert.Equal([Range(Base, 2 * Page), Range(Base + (5 * Page), 2 * Page)], bitmap.DirtyRanges);
        Assert.Empty((await Context.GetDirtyBitmapAsync(hwpt, Range(Base, 16 * Page), Page)).DirtyRanges);
    }

    [Fact]
    public async Task A_fault_queue_gets_the_page_fault_and_its_response_lets_the_device_go_on_or_fail()
    {
        await using var bench = await BenchAsync(attach: false);
        await using var queue = await Context.AllocateFaultQueueAsync();
        await bench.Device.AttachAsync(await Context.AllocateHwptAsync(bench.Device.Id, Ioas, faultQueue: queue.Id));
        await using var groups = queue.ReadAllAsync().GetAsyncEnumerator();
        foreach (var (code, result) in new[] { (IommuPageResponseCode.Invalid, DmaTestResult.Refused), (IommuPageResponseCode.Success, DmaTestResult.Done) })
        {
            var running = bench.FillAsync(Base + 8, 4, 0x4444_4444);
            Assert.True(await groups.MoveNextAsync().AsTask().WaitAsync(TestSupport.Eventually.Limit), "a page fault");
            var fault = Assert.Single(groups.Current.Faults);
            Assert.Equal((Base, (uint)IommuPgfaultPerm.Write, bench.Device.Id.Value), (fault.Addr, fault.Perm, fault.DevId));
            var memory = Pages(1);
            if (code == IommuPageResponseCode.Success)
            {
                await Context.MapAsync(Ioas, memory, new Iova(Base));
            }

            await queue.RespondAsync(groups.Current, code);
            Assert.Equal((code, result), (code, await running));
            Assert.Equal((code, code == IommuPageResponseCode.Success ? 0x44 : 0), (code, memory.Span[8]));
        }
    }

    [Fact]
    public async Task A_PASID_reaches_what_its_own_IOAS_maps()
    {
        await using var bench = await BenchAsync(attach: false);
        var other = await Context.AllocateIoasAsync();
        await bench.Device.AttachAsync(await Context.AllocateHwptAsync(bench.Device.Id, Ioas, IommuHwptAllocFlags.Pasid));
        await bench.Device.AttachAsync(await Context.AllocateHwptAsync(bench.Device.Id, other, IommuHwptAllocFlags.Pasid), pasid: 3);
        var (own, others) = (Pages(1), Pages(1));
        await Context.MapAsync(Ioas, own, new Iova(Base));
        await Context.MapAsync(other, others, new Iova(Base));

        await bench.Device.Write32Async(Bar, Pasid, 3);
        Assert.Equal(DmaTestResult.Done, await bench.FillAsync(Base, 1, 9));
        Assert.Equal((0, 9), (own.Span[0], others.Span[0]));
        await bench.Device.DetachAsync(pasid: 3);
        Assert.Equal(DmaTestResult.Refused, await bench.FillAsync(Base, 1, 8));
        Assert.Equal(3U, (await StateAsync<DeviceState>(bench.Device.Id)).LastDmaFault!.Pasid);
    }

    [Fact]
    public async Task A_long_access_in_many_areas_is_made_in_parts()
    {
        await using var bench = await BenchAsync();
        var pieces = Enumerable.Range(0, 200).Select(_ => Pages(1)).ToArray();
        for (var i = 0; i < pieces.Length; i++)
        {
            await Context.MapAsync(Ioas, pieces[i], new Iova(Base + ((ulong)i * Page)));
        }

        Assert.Equal(DmaTestResult.Done, await bench.FillAsync(Base, (uint)(200 * Page), 0x5555_5555));
        Assert.All(pieces, piece => Assert.True(piece.Span.IndexOfAnyExcept((byte)0x55) < 0, "each area is written"));
    }

    private async Task<Bench> BenchAsync(bool attach = true)
    {
        var machine = new VfioMachine();
        var description = new DeviceDescription { Name = "", Iommu = DeviceDescription.PciIommu, PasidWidth = 4 };
        var function = new DmaTestFunction();
        var program = new VfioProgram(Cluster.Drivers);
        var device = await VfioUserDevice.OpenAsync(machine.Add(new PciAddress(0, 1, 0, 0), function, description), program, program.Add(Context));
        await device.EnableAsync();
        var bench = new Bench(device, function);
        await device.SetInterruptsAsync(VfioPciIrq.Msix, bench);
        await device.Write32Async(Bar, Vector, 0);
        if (attach)
        {
            await device.AttachAsync(Ioas);
        }

        return bench;
    }

    /// <summary>A dma-test device, and the interrupt that tells of its commands' ends.</summary>
    private sealed class Bench(VfioUserDevice device, DmaTestFunction function) : IInterrupt, IAsyncDisposable
    {
        private readonly SemaphoreSlim _ends = new(0);

        public VfioUserDevice Device => device;

        public void Signal() => _ends.Release();

        public Task<DmaTestResult> FillAsync(ulong destination, uint length, uint pattern) => RunAsync(DmaTestCommand.Fill, 0, destination, length, pattern);

        public async Task<DmaTestResult> RunAsync(DmaTestCommand command, ulong source, ulong destination, uint length, uint pattern)
        {
            await device.Write64Async(Bar, Source, source);
            await device.Write64Async(Bar, Destination, destination);
            await device.Write32Async(Bar, Length, length);
            await device.Write32Async(Bar, Pattern, pattern);
            await device.Write32Async(Bar, Command, (uint)command);
            Assert.True(await _ends.WaitAsync(TestSupport.Eventually.Limit), $"{command} has ended");
            return (DmaTestResult)await device.Read32Async(Bar, Result);
        }

        public async ValueTask DisposeAsync()
        {
            await device.DisposeAsync();
            function.Dispose();
            _ends.Dispose();
        }
    }
}
