using IommuFd.Client;
using IommuFd.ClusterTests.Ioctls;
using IommuFd.GrainInterfaces;
using IommuFd.Uapi;
using Xunit.Abstractions;

namespace IommuFd.ClusterTests.Devices;

/// <summary>A guest's IOMMU and what belongs to it, in every order in which they can go.</summary>
[Collection(DeviceCluster.Name)]
public sealed class NestingTests(DeviceCluster cluster, ITestOutputHelper output) : DeviceContext(cluster)
{
    private const ulong VirtId = 0x20;
    private const uint Cached = 0xCAFE;

    [Fact]
    public async Task A_parent_waits_for_its_nested_page_tables_and_a_vIOMMU_for_its_vDevices()
    {
        var (device, parent, viommu) = await GuestAsync();
        var vdevice = await Context.AllocateVdeviceAsync(viommu, device.Id, VirtId);
        var onParent = await NestAsync(device, parent);
        var onViommu = await NestAsync(device, viommu);
        var before = await SnapshotAsync();

        await ExpectHoldersAsync(parent, viommu, onParent);
        await ExpectHoldersAsync(viommu, vdevice, onViommu);

        Assert.Equal(before, await SnapshotAsync());
        foreach (var id in (ObjectId[])[vdevice, onParent, onViommu, viommu, parent])
        {
            await Context.DestroyAsync(id);
        }
    }

    [Fact]
    public async Task A_nested_page_table_keeps_its_vIOMMU_and_the_vIOMMU_goes_after_it()
    {
        var (device, parent, viommu) = await GuestAsync();
        await Context.AllocateVdeviceAsync(viommu, device.Id, VirtId);
        var nested = await NestAsync(device, viommu);
        await device.AttachAsync(nested);

        await RefusedAsync("a vIOMMU under a page table", Errno.EBUSY, DiagnosticReason.ObjectHeld, () => Context.DestroyAsync(viommu).AsTask());
        await RefusedAsync("a page table that is attached", Errno.EBUSY, DiagnosticReason.ObjectHeld, () => Context.DestroyAsync(nested).AsTask());

        // The device takes its vDevice along.
        await device.UnbindAsync();
        await Context.DestroyAsync(nested);
        await Context.DestroyAsync(viommu);
        await RefusedAsync("what is gone", Errno.ENOENT, DiagnosticReason.ObjectNotFound, () => Context.DestroyAsync(viommu).AsTask());
        await Context.DestroyAsync(parent);
    }

    [Fact]
    public async Task A_vDevice_goes_with_its_device_and_nothing_gets_its_id()
    {
        var (device, _, viommu) = await GuestAsync();
        var vdevice = await Context.AllocateVdeviceAsync(viommu, device.Id, VirtId);

        await device.UnbindAsync();

        Assert.DoesNotContain(await ObjectsAsync(), found => found.Id == vdevice);
        var next = await BindAsync("0000:02:00.0");
        Assert.NotEqual(vdevice, next.Id);
        var other = await Context.AllocateVdeviceAsync(viommu, next.Id, VirtId);
        Assert.NotEqual(vdevice, other);
        await RefusedAsync("the vDevice that went", Errno.ENOENT, DiagnosticReason.ObjectNotFound, () => Context.DestroyAsync(vdevice).AsTask());
        Assert.NotEqual(vdevice, await Context.AllocateIoasAsync());
    }

    [Fact]
    public async Task A_vDevice_that_goes_first_leaves_its_device_free_for_another()
    {
        var (device, _, viommu) = await GuestAsync();
        var vdevice = await Context.AllocateVdeviceAsync(viommu, device.Id, VirtId);
        await RefusedAsync("a second vDevice of a device", Errno.EEXIST, DiagnosticReason.DeviceHasVdevice, () => Context.AllocateVdeviceAsync(viommu, device.Id, VirtId + 1).AsTask());

        await Context.DestroyAsync(vdevice);

        Assert.Equal(vdevice, await Context.AllocateVdeviceAsync(viommu, device.Id, VirtId));
        await device.UnbindAsync();
        await Context.DestroyAsync(viommu);
    }

    [Fact]
    public async Task A_vDevice_and_its_device_that_go_at_once_leave_nothing()
    {
        var (_, parent, viommu) = await GuestAsync();
        var before = await ObjectsAsync();
        for (var round = 0; round < 40; round++)
        {
            var device = await BindAsync($"device {round}");
            var vdevice = await Context.AllocateVdeviceAsync(viommu, device.Id, VirtId);

            // Unbinding succeeds whichever comes first. DESTROY finds the vDevice, or that the device has taken it along.
            var (unbinding, destroying) = round % 2 == 0
                ? (device.UnbindAsync(), Record.ExceptionAsync(() => Context.DestroyAsync(vdevice).AsTask()))
                : Swap(Record.ExceptionAsync(() => Context.DestroyAsync(vdevice).AsTask()), device.UnbindAsync());
            await unbinding;
            var errno = (await destroying) is { } failed ? Assert.IsType<IommufdException>(failed).Errno : Errno.None;
            Assert.True(errno is Errno.None or Errno.ENOENT, $"round {round}: DESTROY of the vDevice answered {errno}");

            var after = await ObjectsAsync();
            Assert.True(before.SequenceEqual(after), $"round {round}: expected {string.Join(", ", before)}, there were {string.Join(", ", after)}");
            await RefusedAsync($"round {round}: the vDevice", Errno.ENOENT, DiagnosticReason.ObjectNotFound, () => Context.DestroyAsync(vdevice).AsTask());
        }

        Assert.Equal(1, (await Context.InspectObjectAsync(viommu, new StatePage(0, 1)))!.Users);
        await Context.DestroyAsync(viommu);
        await Context.DestroyAsync(parent);
    }

    [Fact]
    public async Task An_invalidation_stops_at_its_third_entry_and_says_so()
    {
        var (device, parent, _) = await GuestAsync();
        var nested = await NestAsync(device, parent);
        var entries = new IommuHwptInvalidateSelftest[] { new() { IotlbId = 0 }, new() { IotlbId = 1 }, new() { IotlbId = 99 }, new() { IotlbId = 2 }, new() { IotlbId = 3 } };

        var result = await Context.InvalidateAsync<IommuHwptInvalidateSelftest>(nested, IommuHwptInvalidateDataType.Selftest, entries);

        Assert.Equal((2, Errno.EINVAL), (result.Handled, result.Errno));
        var raw = new RawProgram(Context);
        foreach (var (id, content) in (IEnumerable<(uint, uint)>)[(0, 0), (1, 0), (2, Cached), (3, Cached)])
        {
            await raw.ExpectAsync($"what entry {id} of the cache has", Errno.None, IommuTestOp.MdCheckIotlb, nested.Value, new IommuTestCheckIotlb { Id = id, Iotlb = content });
        }
    }

    [Fact]
    public async Task Mapped_memory_that_a_hardware_queue_lies_in_can_t_be_unmapped()
    {
        var (_, _, viommu) = await GuestAsync();
        await Context.MapAsync(Ioas, Pages(2), new Iova(Base));
        var queue = await Context.AllocateHwQueueAsync(viommu, IommuHwQueueType.Selftest, 0, new Iova(Base + Page), Page);

        var refused = await Record.ExceptionAsync(() => Context.UnmapAsync(Ioas, Range(Base, 2 * Page)).AsTask());
        Assert.Equal(Errno.EBUSY, Assert.IsType<IommufdException>(refused).Errno);
        await RefusedAsync("a vIOMMU with a queue", Errno.EBUSY, DiagnosticReason.ObjectHeld, () => Context.DestroyAsync(viommu).AsTask());

        await Context.DestroyAsync(queue);
        Assert.Equal(2 * Page, await Context.UnmapAsync(Ioas, Range(Base, 2 * Page)));
        await Context.DestroyAsync(viommu);
    }

    [Theory]
    [InlineData(39, 12)]
    [InlineData(48, 12)]
    [InlineData(57, 9)]
    public async Task A_description_chooses_how_wide_an_IOVA_is_and_how_small_a_page(int width, int pageBits)
    {
        var device = await Driver.BindDeviceAsync(new DeviceDescription
        {
            Name = "0000:03:00.0",
            Iommu = DeviceDescription.VirtualIommu,
            IommuHardware = new IommuDescription { AddressWidth = width, PageSizes = 1UL << pageBits },
        });
        await device.AttachAsync(Ioas);

        var (ranges, alignment) = await Context.GetIovaRangesAsync(Ioas);

        Assert.Equal((1UL << width) - 1, ranges[^1].Last);
        Assert.Equal(1UL << pageBits, alignment);
        await Context.MapAsync(Ioas, Pages(1), new Iova((1UL << width) - Page));
        await RefusedAsync("one page further", Errno.EINVAL, DiagnosticReason.ReservedInTheWay, () => Context.MapAsync(Ioas, Pages(1), new Iova(1UL << width)).AsTask());
    }

    [Fact]
    public async Task A_context_that_is_closed_leaves_nothing_whatever_order_its_objects_were_made_in()
    {
        var random = new Random(Seed.Of(output));
        for (var round = 0; round < 20; round++)
        {
            var context = await Cluster.Programs.OpenAsync("vmm");
            var driver = await Cluster.Drivers.GetDriverAsync(context.Handle, "driver");
            var ioas = await context.AllocateIoasAsync();
            await context.MapAsync(ioas, Pages(1), new Iova(Base));
            var device = await driver.BindDeviceAsync(new DeviceDescription { Name = "device" });
            var faults = await context.AllocateFaultQueueAsync();
            var parent = await context.AllocateHwptAsync(device.Id, ioas, IommuHwptAllocFlags.NestParent);
            var viommu = await context.AllocateViommuAsync(device.Id, parent, IommuViommuType.Selftest);
            IommuVeventq? events = null;
            foreach (var make in Shuffled<Func<Task>>(
                random,
                async () => await context.AllocateVdeviceAsync(viommu, device.Id, VirtId),
                async () => events = await context.AllocateVeventqAsync(viommu, IommuVeventqType.Selftest, 4),
                async () => await context.AllocateHwQueueAsync(viommu, IommuHwQueueType.Selftest, 0, new Iova(Base), Page),
                async () => await device.AttachAsync(await context.AllocateNestedHwptAsync(
                    device.Id, parent, IommuHwptDataType.Selftest, new IommuHwptSelftest { Iotlb = Cached }, IommuHwptAllocFlags.FaultIdValid, faults.Id))))
            {
                await make();
            }

            ReleaseReport? released = null;
            foreach (var close in Shuffled<Func<Task<ReleaseReport?>>>(
                random, () => context.CloseAsync(), () => driver.PutAsync(), () => faults.File.CloseAsync(), () => events!.File.CloseAsync()))
            {
                Assert.Null(released);
                released = await close();
            }

            Assert.True(released is { Stuck.Length: 0, Destroyed: > 0 }, $"round {round}: the last of the files releases the context: {released}");
            var gone = await Assert.ThrowsAsync<IommufdException>(() => Cluster.Onlookers.InspectAsync(context.Handle, new InspectRequest(default, 1, WithState: false)));
            Assert.Equal(Errno.EBADF, gone.Errno);
        }
    }

    private static (TSecond Second, TFirst First) Swap<TFirst, TSecond>(TFirst first, TSecond second) => (second, first);

    private static T[] Shuffled<T>(Random random, params T[] items)
    {
        random.Shuffle(items);
        return items;
    }

    private Task<ObjectId> NestAsync(IommuDevice device, ObjectId parent)
        => Context.AllocateNestedHwptAsync(device.Id, parent, IommuHwptDataType.Selftest, new IommuHwptSelftest { Iotlb = Cached }).AsTask();

    // A device of the selftest, a page table that others can nest on, and a vIOMMU.
    private async Task<(IommuDevice Device, ObjectId Parent, ObjectId Viommu)> GuestAsync()
    {
        var device = await BindAsync();
        var parent = await Context.AllocateHwptAsync(device.Id, Ioas, IommuHwptAllocFlags.NestParent);
        return (device, parent, await Context.AllocateViommuAsync(device.Id, parent, IommuViommuType.Selftest));
    }

    private async Task ExpectHoldersAsync(ObjectId id, params ObjectId[] holders)
    {
        var busy = await RefusedAsync($"object {id}", Errno.EBUSY, DiagnosticReason.ObjectHeld, () => Context.DestroyAsync(id).AsTask());
        Assert.Equal(holders.Select(holder => holder.Value).Order(), busy.Holders.Select(holder => holder.Id.Value).Order());
    }
}
