using IommuFd.Client;
using IommuFd.ClusterTests.Ioctls;
using IommuFd.GrainInterfaces;
using IommuFd.Uapi;

namespace IommuFd.ClusterTests.Devices;

/// <summary>Devices from binding to unbinding, and who holds whom meanwhile.</summary>
[Collection(DeviceCluster.Name)]
public sealed class DeviceTests(DeviceCluster cluster) : DeviceContext(cluster)
{
    [Fact]
    public async Task A_device_is_bound_attached_replaced_detached_and_unbound()
    {
        var device = await BindAsync();
        Assert.Equal((default, "0000:01:00.0"), await AttachmentAsync(device));

        var first = await device.AttachAsync(Ioas);
        Assert.Equal((first, "0000:01:00.0"), await AttachmentAsync(device));
        Assert.True((await StateAsync<HwptState>(first)).IsAuto, $"HWPT {first} was made by attaching");

        var second = await Context.AllocateHwptAsync(device.Id, Ioas);
        Assert.Equal(second, await device.ReplaceAsync(second));
        Assert.Equal(second, (await AttachmentAsync(device)).Hwpt);
        Assert.Equal(second, await device.ReplaceAsync(second));

        await device.DetachAsync();
        Assert.Equal(default, (await AttachmentAsync(device)).Hwpt);
        await RefusedAsync("detaching twice", Errno.EINVAL, DiagnosticReason.DeviceNotAttached, () => device.DetachAsync().AsTask());
        await RefusedAsync("replacing nothing", Errno.EINVAL, DiagnosticReason.DeviceNotAttached, () => device.ReplaceAsync(second).AsTask());
        await RefusedAsync("replacing nothing by a new page table", Errno.EINVAL, DiagnosticReason.DeviceNotAttached, () => device.ReplaceAsync(Ioas).AsTask());

        await device.UnbindAsync();
        await RefusedAsync("unbinding twice", Errno.ENOENT, DiagnosticReason.ObjectNotFound, () => device.UnbindAsync());
        Assert.Equal([new ObjectRef(ObjectType.Ioas, Ioas), new ObjectRef(ObjectType.HwptPaging, second)], await ObjectsAsync());
        await Context.DestroyAsync(second);
        await Context.DestroyAsync(Ioas);
    }

    [Fact]
    public async Task Unbinding_detaches_a_device_that_is_attached()
    {
        var before = await SnapshotAsync();
        await using (var device = await BindAsync(reserved: Range(Base, Page)))
        {
            await device.AttachAsync(Ioas);
        }

        Assert.Equal(before, await SnapshotAsync());
    }

    [Fact]
    public async Task What_is_held_is_EBUSY_to_DESTROY_and_its_holders_are_named()
    {
        var device = await BindAsync();
        var hwpt = await device.AttachAsync(Ioas);
        var before = await SnapshotAsync();

        var ofDevice = await RefusedAsync("DESTROY of a bound device", Errno.EBUSY, DiagnosticReason.ObjectHeld, () => Context.DestroyAsync(device.Id).AsTask());
        var ofHwpt = await RefusedAsync("DESTROY of an attached HWPT", Errno.EBUSY, DiagnosticReason.ObjectHeld, () => Context.DestroyAsync(hwpt).AsTask());
        var ofIoas = await RefusedAsync("DESTROY of a mirrored IOAS", Errno.EBUSY, DiagnosticReason.ObjectHeld, () => Context.DestroyAsync(Ioas).AsTask());

        var driver = Assert.Single(ofDevice.Holders);
        Assert.Equal((ObjectType.Any, default), (driver.Type, driver.Id));
        Assert.Contains("vfio-pci", driver.Why, StringComparison.Ordinal);
        Assert.Equal([(ObjectType.Device, device.Id)], ofHwpt.Holders.Select(holder => (holder.Type, holder.Id)));
        Assert.Equal([(ObjectType.HwptPaging, hwpt)], ofIoas.Holders.Select(holder => (holder.Type, holder.Id)));
        Assert.Equal(before, await SnapshotAsync());
    }

    [Fact]
    public async Task An_automatic_HWPT_is_shared_and_goes_with_its_last_device()
    {
        var (one, two) = (await BindAsync("one"), await BindAsync("two"));
        var hwpt = await one.AttachAsync(Ioas);
        Assert.Equal(hwpt, await two.AttachAsync(Ioas));
        Assert.Equal(3, (await InspectionAsync(hwpt))!.Users);

        await one.DetachAsync();
        Assert.Equal(2, (await InspectionAsync(hwpt))!.Users);
        await two.DetachAsync();
        Assert.Null(await InspectionAsync(hwpt));
        await Context.DestroyAsync(Ioas);
    }

    [Fact]
    public async Task An_automatic_HWPT_goes_when_its_last_device_is_attached_to_another()
    {
        var other = await Context.AllocateIoasAsync();
        var device = await BindAsync();
        var first = await device.AttachAsync(Ioas);
        var second = await device.ReplaceAsync(other);
        Assert.NotEqual(first, second);
        Assert.Null(await InspectionAsync(first));
        Assert.Equal(other, (await StateAsync<HwptState>(second)).Ioas);
        await Context.DestroyAsync(Ioas);
    }

    [Fact]
    public async Task A_HWPT_that_was_allocated_stays_when_its_last_device_leaves()
    {
        var device = await BindAsync();
        var hwpt = await Context.AllocateHwptAsync(device.Id, Ioas);
        await device.AttachAsync(hwpt);
        await device.DetachAsync();
        Assert.Equal(1, (await InspectionAsync(hwpt))!.Users);
        Assert.NotEqual(hwpt, await device.AttachAsync(Ioas));
    }

    [Fact]
    public async Task Devices_of_a_group_are_attached_to_one_page_table()
    {
        var other = await Context.AllocateIoasAsync();
        var (one, two) = (await BindAsync("one", group: "7"), await BindAsync("two", group: "7"));
        var hwpt = await one.AttachAsync(Ioas);
        var before = await SnapshotAsync();

        await RefusedAsync("another IOAS", Errno.EINVAL, DiagnosticReason.GroupAttachedElsewhere, () => two.AttachAsync(other).AsTask());
        Assert.Equal(before, await SnapshotAsync());
        Assert.Equal(hwpt, await two.AttachAsync(Ioas));

        var moved = await two.ReplaceAsync(other);
        Assert.Equal((moved, moved), ((await AttachmentAsync(one)).Hwpt, (await AttachmentAsync(two)).Hwpt));
        Assert.Null(await InspectionAsync(hwpt));

        await one.UnbindAsync();
        await two.DetachAsync();
        Assert.Equal(default, (await AttachmentAsync(two)).Hwpt);
        await two.AttachAsync(Ioas);
    }

    [Fact]
    public async Task Devices_of_different_groups_are_attached_each_to_its_own()
    {
        var other = await Context.AllocateIoasAsync();
        var (one, two, alone) = (await BindAsync("one", group: "7"), await BindAsync("two", group: "8"), await BindAsync("alone"));
        var hwpt = await one.AttachAsync(Ioas);
        Assert.NotEqual(hwpt, await two.AttachAsync(other));
        Assert.Equal(hwpt, await alone.AttachAsync(Ioas));
    }

    [Fact]
    public async Task Replacing_is_atomic_to_whoever_looks()
    {
        var device = await BindAsync(reserved: Range(Base, Page));
        var other = await Context.AllocateIoasAsync();
        ObjectId[] hwpts = [await Context.AllocateHwptAsync(device.Id, Ioas), await Context.AllocateHwptAsync(device.Id, other)];
        await device.AttachAsync(hwpts[0]);
        await LookWhileReplacingAsync(device, hwpts, graph => Assert.Contains(graph, hwpts));
    }

    [Fact]
    public async Task Replacing_automatic_HWPTs_is_atomic_to_whoever_looks()
    {
        var device = await BindAsync();
        ObjectId[] ioases = [Ioas, await Context.AllocateIoasAsync()];
        await device.AttachAsync(Ioas);
        await LookWhileReplacingAsync(device, ioases, hwpt => Assert.NotEqual(default, hwpt));
        Assert.Equal(4, (await ObjectsAsync()).Length);
    }

    [Fact]
    public async Task A_driver_that_is_put_leaves_nothing_of_what_it_made()
    {
        var before = await SnapshotAsync();
        var other = await Cluster.Drivers.GetDriverAsync(Context.Handle, "other");
        var devices = new[] { await other.BindDeviceAsync(new DeviceDescription { Name = "one" }), await other.BindDeviceAsync(new DeviceDescription { Name = "two" }) };
        await devices[0].AttachAsync(Ioas);
        await other.CreateAccessAsync(Ioas, needsPinPages: true);
        await other.CreateAccessAsync();

        Assert.Null(await other.PutAsync());

        Assert.Equal(before, await SnapshotAsync());
        await RefusedAsync("a device of a driver that was put", Errno.EBADF, DiagnosticReason.SessionNotFound, () => devices[1].AttachAsync(Ioas).AsTask());
        await RefusedAsync("binding by a driver that was put", Errno.EBADF, DiagnosticReason.SessionNotFound, () => other.BindDeviceAsync(new DeviceDescription { Name = "three" }));
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task A_context_that_is_closed_with_all_attached_releases_leaves_first(bool driverFirst)
    {
        var raw = new RawProgram(Context);
        var (device, alone) = (await BindAsync("one", group: "7", reserved: Range(Base, Page)), await BindAsync("two"));
        await device.AttachAsync(Ioas);
        await alone.AttachAsync(await Context.AllocateHwptAsync(device.Id, Ioas, IommuHwptAllocFlags.DirtyTracking));
        await Context.MapAsync(Ioas, Pages(2), new Iova(Base + Page));
        var access = await Driver.CreateAccessAsync(Ioas, Context.Memory, needsPinPages: true);
        await access.PinAsync(Range(Base + Page, Page));
        await raw.MockDomainAsync(Ioas);
        await Driver.HoldAsync(Ioas, "work");
        if (driverFirst)
        {
            Assert.Null(await Driver.PutAsync());
        }

        var graph = await Context.InspectGraphAsync();
        var objects = await ObjectsAsync();

        var closed = await Context.CloseAsync();
        var release = driverFirst ? closed! : (await Driver.PutAsync())!;

        Assert.Empty(release.Stuck);
        Assert.Equal((objects.Length, objects.Length), ((int)release.Destroyed, release.Order.Length));
        Assert.Equal(objects.OrderBy(item => item.Id.Value), release.Order.OrderBy(item => item.Id.Value));
        foreach (var edge in graph.Edges.Where(edge => !graph.Nodes[edge.Holder].IsDriver))
        {
            var (holder, held) = (graph.Nodes[edge.Holder].Object, graph.Nodes[edge.Held].Object);
            Assert.True(Array.IndexOf(release.Order, holder) < Array.IndexOf(release.Order, held), $"{holder}, which holds {held}, goes before it");
        }
    }

    [Fact]
    public async Task The_hardware_of_a_device_says_what_it_can_do()
    {
        var device = await BindAsync();
        var plain = await Driver.BindDeviceAsync(new DeviceDescription { Name = "plain", TracksDirtyPages = false, PasidWidth = 20 });

        var info = await Context.GetHwInfoAsync(device.Id);
        Assert.Equal(
            (IommuHwInfoType.Selftest, IommuHwCapabilities.DirtyTracking | IommuHwCapabilities.PciAtsNotSupported, 0), (info.Type, info.Capabilities, info.MaxPasidLog2));
        Assert.Equal((0U, 0xDEADBEEF), (UapiStruct.Read<IommuTestHwInfo>(info.Data.Span).Flags, UapiStruct.Read<IommuTestHwInfo>(info.Data.Span).TestReg));
        info = await Context.GetHwInfoAsync(plain.Id);
        Assert.Equal((IommuHwCapabilities.PciAtsNotSupported, 20), (info.Capabilities, info.MaxPasidLog2));
        await RefusedAsync("an IOAS", Errno.ENOENT, DiagnosticReason.ObjectOfOtherType, () => Context.GetHwInfoAsync(Ioas).AsTask());
        await RefusedAsync("nothing", Errno.ENOENT, DiagnosticReason.ObjectNotFound, () => Context.GetHwInfoAsync(new ObjectId(77)).AsTask());
    }

    [Fact]
    public async Task A_device_that_is_not_well_described_is_not_bound()
    {
        var before = await SnapshotAsync();
        (string What, Errno Errno, DiagnosticReason Reason, DeviceDescription Device)[] all =
        [
            ("no name", Errno.EINVAL, DiagnosticReason.InvalidDevice, new() { Name = "" }),
            ("a long name", Errno.EINVAL, DiagnosticReason.InvalidDevice, new() { Name = new string('x', IoctlLimits.MaxNameLength + 1) }),
            ("an empty group", Errno.EINVAL, DiagnosticReason.InvalidDevice, new() { Name = "device", Group = "" }),
            ("a region that descends", Errno.EINVAL, DiagnosticReason.InvalidDevice, new() { Name = "device", ReservedRegions = [new IovaRange(2, 1)] }),
            ("many regions", Errno.EINVAL, DiagnosticReason.InvalidDevice, new() { Name = "device", ReservedRegions = new IovaRange[IoctlLimits.MaxReservedRegions + 1] }),
            ("a wide PASID", Errno.EINVAL, DiagnosticReason.InvalidDevice, new() { Name = "device", PasidWidth = DeviceDescription.MaxPasidWidth + 1 }),
            ("a negative PASID", Errno.EINVAL, DiagnosticReason.InvalidDevice, new() { Name = "device", PasidWidth = -1 }),
            ("another IOMMU", Errno.ENODEV, DiagnosticReason.UnknownIommu, new() { Name = "device", Iommu = "smmu" }),
        ];
        foreach (var (what, errno, reason, device) in all)
        {
            await RefusedAsync(what, errno, reason, () => Driver.BindDeviceAsync(device));
        }

        Assert.Equal(before, await SnapshotAsync());
    }

    private async Task LookWhileReplacingAsync(IommuDevice device, ObjectId[] pageTables, Action<ObjectId> check)
    {
        const int Replacements = 200;
        await using var onlooker = await Cluster.Onlookers.DuplicateAsync(Context.Handle);
        var replacing = Task.Run(async () =>
        {
            for (var i = 1; i <= Replacements; i++)
            {
                await device.ReplaceAsync(pageTables[i % pageTables.Length]);
            }
        });
        do
        {
            var graph = await onlooker.InspectGraphAsync(device.Id, GraphDirection.Held);
            var held = Assert.Single(graph.Edges, edge => graph.Nodes[edge.Holder].Object.Id == device.Id).Held;
            Assert.Equal(ObjectType.HwptPaging, graph.Nodes[held].Object.Type);
            Assert.True(graph.Nodes[held].Users >= 2, $"{graph.Nodes[held].Object} is held by device {device.Id}");
            check(graph.Nodes[held].Object.Id);
        }
        while (!replacing.IsCompleted);

        await replacing;
    }

    private async Task<(ObjectId Hwpt, string Name)> AttachmentAsync(IommuDevice device)
    {
        var state = await StateAsync<DeviceState>(device.Id);
        return (state.Hwpt, state.Device.Name);
    }

    private Task<ObjectInspection?> InspectionAsync(ObjectId id) => Context.InspectObjectAsync(id, default);
}
