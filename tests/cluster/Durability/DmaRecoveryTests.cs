using IommuFd.Client;
using IommuFd.GrainInterfaces;
using IommuFd.Uapi;

namespace IommuFd.ClusterTests.Durability;

/// <summary>What a device's accesses have changed lasts when a durable context is recovered.</summary>
public sealed class DmaRecoveryTests
{
    private const ulong Base = 0x100_0000;
    private const ulong Page = 4096;

    [Fact]
    public async Task Dirty_pages_counted_faults_and_awaited_responses_are_there_after_a_recovery()
    {
        await using var place = JournalSilo.NewPlace();
        await using var silo = await JournalSilo.StartAsync(place.Settings.Path!);
        var client = new IommufdClient(silo.Grains);
        await using var context = await client.OpenAsync("vmm", ContextMode.Durable);
        await using var driver = await client.GetDriverAsync(context.Handle, "vfio-pci");
        await using var device = await driver.BindDeviceAsync(new DeviceDescription { Name = "0000:01:00.0", Iommu = DeviceDescription.PciIommu });
        var ioas = await context.AllocateIoasAsync();
        await using var queue = await context.AllocateFaultQueueAsync();
        var hwpt = await context.AllocateHwptAsync(device.Id, ioas, IommuHwptAllocFlags.DirtyTracking, queue.Id);
        await device.AttachAsync(hwpt);
        await context.SetDirtyTrackingAsync(hwpt, enable: true);
        var memory = DmaMemory.Allocate(8 * (int)Page);
        await context.MapAsync(ioas, memory, new Iova(Base));
        var written = await device.TranslateAsync(new[] { new DmaRange(Base + (3 * Page), 1), new DmaRange(Base + (6 * Page) - 1, 2) }, write: true);
        var fault = await device.TranslateAsync(new[] { new DmaRange(Base - 1, 1) }, write: true, group: 5);
        Assert.Equal((Errno.None, Errno.ENOENT, true), (written.Errno, fault.Errno, fault.IsReported));

        await silo.StealAsync(context.Handle);

        var bitmap = await context.GetDirtyBitmapAsync(hwpt, new IovaRange(Base, Base + (8 * Page) - 1), Page);
        Assert.Equal([new IovaRange(Base + (3 * Page), Base + (4 * Page) - 1), new IovaRange(Base + (5 * Page), Base + (7 * Page) - 1)], bitmap.DirtyRanges);
        var state = Assert.IsType<DeviceState>((await context.InspectObjectAsync(device.Id, default))?.State);
        Assert.Equal((1UL, new DmaFault(Errno.ENOENT, Base - 1, true, 0)), (state.DmaFaults, state.LastDmaFault));
        Assert.Null(await device.TakeFaultResponseAsync(5));
        await using var groups = queue.ReadAllAsync().GetAsyncEnumerator();
        Assert.True(await groups.MoveNextAsync().AsTask().WaitAsync(Eventually.Limit), "the page fault");
        await queue.RespondAsync(groups.Current, IommuPageResponseCode.Success);

        await silo.StealAsync(context.Handle);

        Assert.Equal(IommuPageResponseCode.Success, await device.TakeFaultResponseAsync(5));
        Assert.Equal(IommuPageResponseCode.Invalid, await device.TakeFaultResponseAsync(5));
    }
}
