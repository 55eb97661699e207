using IommuFd.ClusterTests.Devices;
using IommuFd.GrainInterfaces;
using IommuFd.Uapi;
using static IommuFd.ClusterTests.Ioctls.RawGuest;
using static IommuFd.GrainInterfaces.DiagnosticReason;
using static IommuFd.Uapi.Errno;

namespace IommuFd.ClusterTests.Ioctls;

/// <summary>The errnos of the commands that make queues for faults, for events and of the hardware's, and of what fills them.</summary>
[Collection(DeviceCluster.Name)]
public sealed class QueueErrnoTests(DeviceCluster cluster) : DeviceContext(cluster)
{
    [Fact]
    public async Task A_fault_queue_is_refused_for_a_flag_or_without_a_descriptor()
    {
        var raw = new RawProgram(Context);
        var before = await SnapshotAsync();

        await raw.ExpectAsync<IommuFaultAlloc>(IommuCommand.FaultQueueAlloc, ("a flag", EOPNOTSUPP, UnsupportedFlags, new() { Flags = 1 }));
        var result = await Context.IoctlAsync((uint)IommuCommand.FaultQueueAlloc, UapiStruct.ToBytes(new IommuFaultAlloc { Size = 16 }));

        Assert.Equal((EMFILE, NoFreeDescriptor), (result.Errno, result.Diagnostic!.Reason));
        Assert.Equal(before, await SnapshotAsync());
    }

    [Fact]
    public async Task An_event_queue_is_refused_for_its_reasons_and_in_their_order()
    {
        var guest = await MakeAsync(Context, Ioas);
        IommuVeventqAlloc good = new() { ViommuId = guest.Viommu.Value, Type = (uint)IommuVeventqType.Selftest, VeventqDepth = 1 };
        var before = await SnapshotAsync();

        await guest.Program.ExpectAsync<IommuVeventqAlloc>(
            IommuCommand.VeventqAlloc,
            ("a flag", EOPNOTSUPP, UnsupportedFlags, new() { Flags = 1 }),
            ("a reserved field", EOPNOTSUPP, ReservedNotZero, new() { Reserved = 1 }),
            ("no type", EOPNOTSUPP, UnsupportedKind, default),
            ("no room for an event", EINVAL, QueueWithoutDepth, new() { Type = good.Type }),
            ("more room than Linux gives", EINVAL, QueueWithoutDepth, new() { Type = good.Type, VeventqDepth = (1 << 19) + 1 }),
            ("no vIOMMU", ENOENT, ObjectNotFound, good with { ViommuId = Missing }),
            ("no vIOMMU but its parent", ENOENT, ObjectOfOtherType, good with { ViommuId = guest.Parent.Value }));
        Assert.Equal(EMFILE, (await Context.IoctlAsync((uint)IommuCommand.VeventqAlloc, UapiStruct.ToBytes(good with { Size = 32 }))).Errno);
        Assert.Equal(before, await SnapshotAsync());

        await guest.Program.ExpectAsync(
            IommuCommand.VeventqAlloc, ("a queue", Errno.None, DiagnosticReason.None, good), ("a second one of its type", EEXIST, VeventqTypeTaken, good));
    }

    [Fact]
    public async Task A_hardware_queue_is_refused_for_its_reasons_and_in_their_order()
    {
        var guest = await MakeAsync(Context, Ioas);
        var type = (uint)IommuHwQueueType.Selftest;
        IommuHwQueueAlloc bad = new() { ViommuId = Missing, Type = 1, Index = 2, NestingParentIova = ulong.MaxValue, Length = 2 };
        var before = await SnapshotAsync();

        await guest.Program.ExpectAsync(
            IommuCommand.HwQueueAlloc,
            ("a flag", EOPNOTSUPP, UnsupportedFlags, bad with { Flags = 1, Type = 0 }),
            ("no type", EOPNOTSUPP, UnsupportedKind, bad with { Type = 0, Length = 0 }),
            ("no bytes", EINVAL, EmptyRange, bad with { Length = 0 }),
            ("past the last IOVA", EOVERFLOW, RangeOverflow, bad),
            ("no vIOMMU", ENOENT, ObjectNotFound, bad with { NestingParentIova = 0, Length = ulong.MaxValue }),
            ("no vIOMMU but its parent", ENOENT, ObjectOfOtherType, bad with { NestingParentIova = 0, Length = ulong.MaxValue, ViommuId = guest.Parent.Value }),
            ("another IOMMU's type", EOPNOTSUPP, UnsupportedKind, bad with { NestingParentIova = 0, Length = ulong.MaxValue, ViommuId = guest.Viommu.Value }),
            ("pages past the last IOVA", ERANGE, MemoryOverflow, bad with { NestingParentIova = 0, Length = ulong.MaxValue, ViommuId = guest.Viommu.Value, Type = type }),
            ("more pages than can be listed", ENOMEM, RequestTooLarge, bad with { NestingParentIova = 0, Length = 1UL << 40, ViommuId = guest.Viommu.Value, Type = type }));

        Assert.Equal(before, await SnapshotAsync());
    }

    [Fact]
    public async Task The_memory_of_a_hardware_queue_comes_before_its_index()
    {
        var guest = await MakeAsync(Context, Ioas);
        IommuHwQueueAlloc good = new() { ViommuId = guest.Viommu.Value, Type = (uint)IommuHwQueueType.Selftest, NestingParentIova = Base, Length = Page };
        await guest.Program.MapAsync(Ioas, Data, 2048, Base);
        await guest.Program.ExpectAsync(IommuCommand.HwQueueAlloc, ("an area that is not whole pages", EADDRINUSE, AreasMisaligned, good with { Index = 2, Length = 2 * Page }));
        await Context.UnmapAsync(Ioas, Range(Base, 2048));

        await guest.Program.MapAsync(Ioas, Data, Page, Base);
        await guest.Program.ExpectAsync(IommuCommand.HwQueueAlloc, ("a page that is not mapped", ENOENT, IovaNotMapped, good with { Index = 2, Length = 2 * Page }));
        await guest.Program.MapAsync(Ioas, Data + (2 * Page), Page, Base + Page);
        await guest.Program.ExpectAsync(IommuCommand.HwQueueAlloc, ("pages that are not contiguous", EFAULT, MemoryNotContiguous, good with { Index = 2, Length = 2 * Page }));
        var before = await SnapshotAsync();

        await guest.Program.ExpectAsync(
            IommuCommand.HwQueueAlloc,
            ("a third queue", EINVAL, QueueIndexUnusable, good with { Index = 2 }),
            ("a second queue without a first", EIO, QueueBeforeMissing, good with { Index = 1 }));
        Assert.Equal(before, await SnapshotAsync());

        await guest.Program.ExpectAsync(
            IommuCommand.HwQueueAlloc,
            ("the first queue", Errno.None, DiagnosticReason.None, good),
            ("the first queue again", EEXIST, QueueIndexTaken, good with { NestingParentIova = Base + Page }),
            ("the second queue, in a part of a page", Errno.None, DiagnosticReason.None, good with { Index = 1, NestingParentIova = Base + 5, Length = 1 }));
        await guest.Program.ExpectAsync<IommuIoasUnmap>(
            IommuCommand.IoasUnmap, ("an area that a queue lies in", EBUSY, AreaLocked, new() { IoasId = Ioas.Value, Iova = Base, Length = Page }));
    }

    [Fact]
    public async Task Pages_that_follow_each_other_are_contiguous_whatever_areas_they_are_in()
    {
        var guest = await MakeAsync(Context, Ioas);
        await guest.Program.MapAsync(Ioas, Data, Page, Base);
        await guest.Program.MapAsync(Ioas, Data + Page, 2 * Page, Base + Page);

        await guest.Program.ExpectAsync<IommuHwQueueAlloc>(
            IommuCommand.HwQueueAlloc,
            ("three pages of two areas", Errno.None, DiagnosticReason.None, new() { ViommuId = guest.Viommu.Value, Type = (uint)IommuHwQueueType.Selftest, NestingParentIova = Base, Length = 3 * Page }));
    }

    [Fact]
    public async Task What_devices_report_is_refused_for_its_reasons()
    {
        var guest = await MakeAsync(Context, Ioas);
        var device = guest.Device.OutIdevId;
        async Task EventAsync(string what, Errno errno, uint of)
            => await guest.Program.ExpectAsync(what, errno, IommuTestOp.TriggerVevent, 0, new IommuTestTriggerVevent { DevId = of });
        async Task FaultAsync(string what, Errno errno, uint of)
            => await guest.Program.ExpectAsync(what, errno, IommuTestOp.TriggerIopf, 0, new IommuTestTriggerIopf { DevId = of });

        await FaultAsync("a fault of no device", ENOENT, Missing);
        await FaultAsync("a fault of an IOAS", ENOENT, Ioas.Value);
        await FaultAsync("a fault that nobody waits for", Errno.None, device);
        await EventAsync("an event of no device", ENOENT, Missing);
        await EventAsync("an event of an IOAS", ENOENT, Ioas.Value);
        await EventAsync("an event beside the vIOMMU", ENOENT, device);
        var nested = await guest.NestAsync(guest.Viommu);
        await guest.Program.ExpectAsync(
            "a page table of a vIOMMU that does not know the device", ENOENT, IommuTestOp.MockDomainReplace, guest.Device.OutStdevId, new IommuTestMockDomainReplace { PtId = nested.Value });
        await Context.AllocateVdeviceAsync(guest.Viommu, new ObjectId(device), 0x20);
        await guest.ReplaceAsync(nested);
        await EventAsync("an event that there is no queue for", EOPNOTSUPP, device);
        await guest.Program.IoctlAsync(
            IommuCommand.VeventqAlloc, new IommuVeventqAlloc { ViommuId = guest.Viommu.Value, Type = (uint)IommuVeventqType.Selftest, VeventqDepth = 1 });
        await EventAsync("an event", Errno.None, device);
        await EventAsync("an event that is lost", Errno.None, device);
    }
}
