using IommuFd.Client;
using IommuFd.GrainInterfaces;
using IommuFd.Uapi;

namespace IommuFd.ClusterTests.Devices;

/// <summary>DMA that is refused is listed with whose, where and why, also once its context has closed.</summary>
[Collection(DeviceCluster.Name)]
public sealed class DmaFaultTests(DeviceCluster cluster) : DeviceContext(cluster)
{
    [Fact]
    public async Task Each_refused_access_is_listed_with_the_range_the_reason_and_its_outcome()
    {
        await using var queue = await Context.AllocateFaultQueueAsync();
        await using var device = await BindAsync();
        await Context.MapAsync(Ioas, Pages(1), new Iova(Base), DmaAccess.Read);
        var before = await ListAsync([]);
        await AccessAsync(device, write: true, new DmaRange(Base, 8));
        await device.AttachAsync(Ioas);
        await AccessAsync(device, write: false, new DmaRange(Base, 16), new DmaRange(Base + Page - 8, 16));
        await AccessAsync(device, write: true, new DmaRange(Base + 32, 4));
        await AccessAsync(device, write: true, new DmaRange(ulong.MaxValue, 2));
        await device.DetachAsync();
        await device.AttachAsync(await Context.AllocateHwptAsync(device.Id, Ioas, faultQueue: queue.Id));
        await AccessAsync(device, write: true, new DmaRange(Base + (2 * Page), 4));

        // What is translated, or is no access, is no fault.
        Assert.Equal(Errno.None, (await device.TranslateAsync(new[] { new DmaRange(Base, 8) }, write: false)).Errno);
        Assert.Equal(Errno.EINVAL, (await device.TranslateAsync(Array.Empty<DmaRange>(), write: false)).Errno);

        var page = await ListAsync(before.Marks);
        Assert.Equal(
            [
                (new DmaRange(Base, 8), new DmaFault(Errno.EINVAL, Base, true, 0), DiagnosticReason.DeviceNotAttached, default),
                (new DmaRange(Base + Page - 8, 16), new DmaFault(Errno.ENOENT, Base + Page, false, 0), DiagnosticReason.IovaNotMapped, default),
                (new DmaRange(Base + 32, 4), new DmaFault(Errno.EPERM, Base + 32, true, 0), DiagnosticReason.AccessDenied, default),
                (new DmaRange(ulong.MaxValue, 2), new DmaFault(Errno.EOVERFLOW, ulong.MaxValue, true, 0), DiagnosticReason.RangeOverflow, default),
                (new DmaRange(Base + (2 * Page), 4), new DmaFault(Errno.ENOENT, Base + (2 * Page), true, 0), DiagnosticReason.IovaNotMapped, queue.Id),
            ],
            page.Faults.Select(fault => (fault.Range, fault.Fault, fault.Diagnostic!.Reason, fault.FaultQueue)));
        Assert.All(page.Faults, fault => Assert.Equal((Context.Handle.Key.Tag, "vmm", device.Id, "0000:01:00.0"), (fault.Context, fault.Opener, fault.Device, fault.DeviceName)));
        Assert.Equal([1, 2, 3, 4, 5], page.Faults.Select(fault => (int)fault.Ordinal));
        Assert.Empty((await ListAsync(page.Marks)).Faults);
        Assert.Equal(Errno.ENOENT, Assert.Single((await Cluster.Programs.ListFaultsAsync(new FaultQuery(null, before.Marks, 1), Context.Handle)).Faults).Fault.Errno);
    }

    [Fact]
    public async Task Faults_are_listed_after_their_context_has_closed()
    {
        var context = await Cluster.Programs.OpenAsync("crashed");
        await using (var driver = await Cluster.Drivers.GetDriverAsync(context.Handle, "vfio-pci"))
        {
            await AccessAsync(await driver.BindDeviceAsync(new DeviceDescription { Name = "0000:02:00.0" }), write: true, new DmaRange(Base, 8));
        }

        await context.CloseAsync();
        var page = await Cluster.Programs.ListFaultsAsync(new FaultQuery(context.Handle.Key.Tag, null, 10));
        Assert.Equal(("crashed", "0000:02:00.0"), page.Faults.Select(fault => (fault.Opener, fault.DeviceName)).Single());
        Assert.Empty(page.SilentSilos);
    }

    private Task<FaultPage> ListAsync(FaultMark[] after) => Cluster.Programs.ListFaultsAsync(new FaultQuery(null, after, FaultQuery.MaxLimit), Context.Handle);

    private static async Task AccessAsync(IommuDevice device, bool write, params DmaRange[] ranges)
        => Assert.NotEqual(Errno.None, (await device.TranslateAsync(ranges, write)).Errno);
}
