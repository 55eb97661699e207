using IommuFd.Client;
using IommuFd.ClusterTests.Ioctls;
using IommuFd.GrainInterfaces;
using IommuFd.Uapi;

namespace IommuFd.ClusterTests.Devices;

/// <summary>What devices and page tables demand of an IOAS, and what is as before where they can't have it.</summary>
[Collection(DeviceCluster.Name)]
public sealed class DevicePageTableTests(DeviceCluster cluster) : DeviceContext(cluster)
{
    private static readonly IovaRange Reserved = Range(Base, 4 * Page);

    [Fact]
    public async Task Reserved_regions_cannot_be_mapped_while_their_device_is_attached()
    {
        var device = await BindAsync(reserved: Reserved);
        await device.AttachAsync(Ioas);

        var refused = await RefusedAsync(
            "mapping into a region", Errno.EINVAL, DiagnosticReason.ReservedInTheWay,
            () => Context.MapAsync(Ioas, Pages(2), new Iova(Base + (3 * Page))).AsTask());
        Assert.Equal(Reserved, refused.Diagnostic!.Overlap);
        await Context.MapAsync(Ioas, Pages(1), new Iova(Base + (4 * Page)));
        await RefusedAsync(
            "allowing a region", Errno.EADDRINUSE, DiagnosticReason.ReservedInTheWay, () => Context.AllowIovasAsync(Ioas, [Range(Base - Page, 2 * Page)]).AsTask());

        await device.DetachAsync();
        await Context.MapAsync(Ioas, Pages(4), new Iova(Base));
    }

    [Fact]
    public async Task Automatic_IOVAs_are_never_taken_from_a_reserved_region()
    {
        var device = await BindAsync(reserved: Range(0x100_0000, 0x7E00_0000));
        await device.AttachAsync(Ioas);
        for (var i = 0; i < 16; i++)
        {
            var iova = await Context.MapAsync(Ioas, Pages(1));
            Assert.InRange(iova.Value, 0x7F00_0000UL, 0x7FFF_FFFFUL);
        }
    }

    [Fact]
    public async Task A_region_that_two_devices_reserve_is_free_when_both_are_gone()
    {
        var (one, two) = (await BindAsync("one", reserved: Reserved), await BindAsync("two", reserved: Reserved));
        await one.AttachAsync(Ioas);
        await two.AttachAsync(Ioas);
        await one.DetachAsync();
        await RefusedAsync(
            "mapping into the region of the other", Errno.EINVAL, DiagnosticReason.ReservedInTheWay, () => Context.MapAsync(Ioas, Pages(1), new Iova(Base)).AsTask());
        await two.UnbindAsync();
        await Context.MapAsync(Ioas, Pages(1), new Iova(Base));
    }

    [Fact]
    public async Task The_regions_of_a_group_move_with_it()
    {
        var other = await Context.AllocateIoasAsync();
        var (one, two) = (await BindAsync("one", group: "7", reserved: Reserved), await BindAsync("two", group: "7", reserved: Range(Base + (8 * Page), Page)));
        await one.AttachAsync(Ioas);
        await two.AttachAsync(Ioas);

        await one.ReplaceAsync(other);

        await Context.MapAsync(Ioas, Pages(16), new Iova(Base));
        foreach (var page in (ulong[])[0, 3, 8])
        {
            await RefusedAsync(
                $"mapping page {page} of the other IOAS", Errno.EINVAL, DiagnosticReason.ReservedInTheWay,
                () => Context.MapAsync(other, Pages(1), new Iova(Base + (page * Page))).AsTask());
        }
    }

    public static TheoryData<string, Errno, DiagnosticReason> Refusals => new()
    {
        { "nothing has the id", Errno.ENOENT, DiagnosticReason.ObjectNotFound },
        { "a device", Errno.EINVAL, DiagnosticReason.NotAPageTable },
        { "an area in the region", Errno.EADDRINUSE, DiagnosticReason.AreaInTheWay },
        { "an area in the second region", Errno.EADDRINUSE, DiagnosticReason.AreaInTheWay },
        { "an allowed range in the region", Errno.EADDRINUSE, DiagnosticReason.AllowedInTheWay },
        { "an area outside the aperture", Errno.EADDRINUSE, DiagnosticReason.OutsideAperture },
        { "an allowed range outside the aperture", Errno.EADDRINUSE, DiagnosticReason.AllowedOutsideAperture },
        { "an area that is not aligned", Errno.EADDRINUSE, DiagnosticReason.AreasMisaligned },
        { "memory that isn't there", Errno.EFAULT, DiagnosticReason.MemoryNotPinnable },
        { "a file that is no memory", Errno.EINVAL, DiagnosticReason.FileNotPinnable },
        { "a HWPT that tracks dirty pages", Errno.EINVAL, DiagnosticReason.DeviceIncompatible },
    };

    [Theory]
    [MemberData(nameof(Refusals))]
    public async Task A_failed_attach_leaves_everything_as_it_was(string pageTable, Errno errno, DiagnosticReason reason)
    {
        var target = await UnfitAsync(pageTable);
        var device = await BindAsync(tracksDirtyPages: false, reserved: [Reserved, Range(Base + (8 * Page), Page)]);
        var before = await SnapshotAsync();

        await RefusedAsync($"attaching to {pageTable}", errno, reason, () => device.AttachAsync(target).AsTask());

        Assert.Equal(before, await SnapshotAsync());
        await device.AttachAsync(await Context.AllocateIoasAsync());
    }

    [Theory]
    [MemberData(nameof(Refusals))]
    public async Task A_failed_replace_leaves_everything_as_it_was(string pageTable, Errno errno, DiagnosticReason reason)
    {
        var target = await UnfitAsync(pageTable);
        var device = await BindAsync("first", group: "7", tracksDirtyPages: false, reserved: Reserved);
        var second = await BindAsync("second", group: "7", tracksDirtyPages: false, reserved: Range(Base + (8 * Page), Page));
        var attached = await device.AttachAsync(await Context.AllocateIoasAsync());
        await second.AttachAsync(attached);
        var before = await SnapshotAsync();

        await RefusedAsync($"replacing by {pageTable}", errno, reason, () => device.ReplaceAsync(target).AsTask());

        Assert.Equal(before, await SnapshotAsync());
        await second.ReplaceAsync(await Context.AllocateIoasAsync());
    }

    [Fact]
    public async Task Attaching_what_is_attached_is_EBUSY_and_changes_nothing()
    {
        var device = await BindAsync();
        var other = await Context.AllocateIoasAsync();
        var hwpt = await device.AttachAsync(Ioas);
        var before = await SnapshotAsync();
        foreach (var (what, pageTable) in new[] { ("the same HWPT", hwpt), ("the same IOAS", Ioas), ("another IOAS", other) })
        {
            await RefusedAsync($"attaching to {what}", Errno.EBUSY, DiagnosticReason.DeviceAttached, () => device.AttachAsync(pageTable).AsTask());
            Assert.Equal(before, await SnapshotAsync());
        }
    }

    [Fact]
    public async Task Memory_that_is_not_there_cannot_be_mapped_while_a_page_table_mirrors_the_IOAS()
    {
        var device = await BindAsync();
        await device.AttachAsync(Ioas);
        var raw = new RawProgram(Context);
        var refused = await Assert.ThrowsAsync<IommufdException>(() => raw.MapAsync(Ioas, 0x7000_0000, Page, Base));
        Assert.Equal(Errno.EFAULT, refused.Errno);
        Assert.Equal(0, (await StateAsync<IoasState>(Ioas)).AreaCount);
    }

    [Fact]
    public async Task A_HWPT_is_allocated_with_flags_that_its_IOMMU_has()
    {
        var device = await BindAsync();
        foreach (var flags in (IommuHwptAllocFlags[])
            [IommuHwptAllocFlags.None, IommuHwptAllocFlags.NestParent, IommuHwptAllocFlags.DirtyTracking, IommuHwptAllocFlags.Pasid, (IommuHwptAllocFlags)11])
        {
            var hwpt = await Context.AllocateHwptAsync(device.Id, Ioas, flags);
            var state = await StateAsync<HwptState>(hwpt);
            Assert.Equal((Ioas, false, flags, new IovaRange(0x100_0000, 0x7FFF_FFFF), 2048UL), (state.Ioas, state.IsAuto, state.Flags, state.Aperture, state.PageSize));
            await Context.DestroyAsync(hwpt);
        }
    }

    [Fact]
    public async Task A_HWPT_that_cannot_be_allocated_leaves_everything_as_it_was()
    {
        var (device, plain) = (await BindAsync("device"), await BindAsync("plain", tracksDirtyPages: false));
        var parent = await Context.AllocateHwptAsync(device.Id, Ioas, IommuHwptAllocFlags.NestParent);
        var outside = await Context.AllocateIoasAsync();
        await Context.MapAsync(outside, Pages(1), new Iova(0));
        var before = await SnapshotAsync();
        (string What, Errno Errno, DiagnosticReason Reason, ObjectId Device, ObjectId PageTable, IommuHwptAllocFlags Flags)[] all =
        [
            ("an unknown flag", Errno.EOPNOTSUPP, DiagnosticReason.UnsupportedFlags, device.Id, Ioas, (IommuHwptAllocFlags)0x10),
            ("tracking that the IOMMU lacks", Errno.EOPNOTSUPP, DiagnosticReason.IommuLacksFeature, plain.Id, Ioas, IommuHwptAllocFlags.DirtyTracking),
            ("faults of a parent", Errno.EOPNOTSUPP, DiagnosticReason.ConflictingFlags, device.Id, Ioas, IommuHwptAllocFlags.FaultIdValid | IommuHwptAllocFlags.NestParent),
            ("no fault queue", Errno.ENOENT, DiagnosticReason.ObjectNotFound, device.Id, Ioas, IommuHwptAllocFlags.FaultIdValid),
            ("no device", Errno.ENOENT, DiagnosticReason.ObjectNotFound, new ObjectId(77), Ioas, IommuHwptAllocFlags.None),
            ("an IOAS as device", Errno.ENOENT, DiagnosticReason.ObjectOfOtherType, Ioas, Ioas, IommuHwptAllocFlags.None),
            ("no IOAS", Errno.EINVAL, DiagnosticReason.ObjectNotFound, device.Id, new ObjectId(77), IommuHwptAllocFlags.None),
            ("a device as IOAS", Errno.EINVAL, DiagnosticReason.CannotAllocateOn, device.Id, device.Id, IommuHwptAllocFlags.None),
            ("nested without data", Errno.EOPNOTSUPP, DiagnosticReason.NestingNeedsData, device.Id, parent, IommuHwptAllocFlags.None),
            ("an area outside the aperture", Errno.EADDRINUSE, DiagnosticReason.OutsideAperture, device.Id, outside, IommuHwptAllocFlags.None),
        ];
        foreach (var (what, errno, reason, of, pageTable, flags) in all)
        {
            await RefusedAsync(what, errno, reason, () => Context.AllocateHwptAsync(of, pageTable, flags).AsTask());
            Assert.Equal(before, await SnapshotAsync());
        }
    }

    // A page table that a device without dirty tracking, and with two regions, can't be attached to.
    private async Task<ObjectId> UnfitAsync(string why)
    {
        switch (why)
        {
            case "nothing has the id":
                return new ObjectId(77);
            case "a device":
                return (await BindAsync("other")).Id;
            case "an area in the region":
                await Context.MapAsync(Ioas, Pages(1), new Iova(Reserved.Last - (Page - 1)));
                return Ioas;
            case "an area in the second region":
                await Context.MapAsync(Ioas, Pages(1), new Iova(Base + (8 * Page)));
                return Ioas;
            case "an allowed range in the region":
                await Context.AllowIovasAsync(Ioas, [Range(Base - Page, 2 * Page)]);
                return Ioas;
            case "an area outside the aperture":
                await Context.MapAsync(Ioas, Pages(2), new Iova(0x100_0000 - Page));
                return Ioas;
            case "an allowed range outside the aperture":
                await Context.AllowIovasAsync(Ioas, [Range(0x7FFF_F000, 2 * Page)]);
                return Ioas;
            case "an area that is not aligned":
                await Context.MapAsync(Ioas, Pages(1)[..100], new Iova(Base + (16 * Page)));
                return Ioas;
            case "memory that isn't there":
                await new RawProgram(Context).MapAsync(Ioas, 0x7000_0000, Page, Base + (16 * Page));
                return Ioas;
            case "a file that is no memory":
                await Context.MapFileAsync(Ioas, new UserFile("disk", IsMemfd: false, 1 << 20), 0, Page, new Iova(Base + (16 * Page)));
                return Ioas;
            case "a HWPT that tracks dirty pages":
                return await Context.AllocateHwptAsync((await BindAsync("other")).Id, Ioas, IommuHwptAllocFlags.DirtyTracking);
            default:
                throw new ArgumentOutOfRangeException(nameof(why), why, "No such case.");
        }
    }
}
