using System.Runtime.CompilerServices;
using IommuFd.Client;
using IommuFd.GrainInterfaces;
using IommuFd.Uapi;

namespace IommuFd.ClusterTests.Devices;

/// <summary>What a driver reports of its device, until a program has it.</summary>
[Collection(DeviceCluster.Name)]
public sealed class ReportTests(DeviceCluster cluster) : DeviceContext(cluster)
{
    private const uint Group = 7;
    private const uint Pasid = 5;
    private const uint VirtId = 0x20;

    [Fact]
    public async Task A_group_of_faults_comes_as_it_was_reported_and_is_answered_once()
    {
        await using var queue = await Context.AllocateFaultQueueAsync();
        var device = await BindVirtualAsync();
        var hwpt = await Context.AllocateHwptAsync(device.Id, Ioas, IommuHwptAllocFlags.Pasid, queue.Id);
        await device.AttachAsync(hwpt);
        await device.AttachAsync(hwpt, Pasid);
        PageFault[] accesses = [new(0x1000, IommuPgfaultPerm.Read, Group, Pasid), new(0x2000, IommuPgfaultPerm.Write, Group, Pasid), new(0x5000, IommuPgfaultPerm.Exec, Group, Pasid)];

        await device.ReportFaultsAsync(accesses);
        await device.ReportFaultsAsync([new PageFault(0x9000, IommuPgfaultPerm.Read)]);

        var groups = await TakeAsync(queue.ReadAllAsync(), 2);
        Assert.Equal([(device.Id, (uint?)Pasid, 3), (device.Id, null, 1)], groups.Select(group => (group.Device, group.Pasid, group.Faults.Count)));
        Assert.Equal(accesses, groups[0].Faults.Select(fault => new PageFault(fault.Addr, (IommuPgfaultPerm)fault.Perm, fault.Grpid, fault.Pasid)));
        Assert.Equal([false, false, true], groups[0].Faults.Select(fault => ((IommuPgfaultFlags)fault.Flags).HasFlag(IommuPgfaultFlags.LastPage)));
        Assert.Equal((0x9000UL, 0U), (groups[1].Faults[0].Addr, groups[1].Faults[0].Grpid));

        foreach (var group in Enumerable.Reverse(groups))
        {
            await queue.RespondAsync(group, IommuPageResponseCode.Success);
            await RefusedAsync($"a second response to {group.Cookie}", Errno.EINVAL, DiagnosticReason.CookieNotFound, () => queue.RespondAsync(group, IommuPageResponseCode.Invalid).AsTask());
        }
    }

    [Fact]
    public async Task Groups_that_a_program_has_not_asked_for_stay_in_the_queue()
    {
        await using var queue = await Context.AllocateFaultQueueAsync();
        var device = await BindVirtualAsync();
        await device.AttachAsync(await Context.AllocateHwptAsync(device.Id, Ioas, faultQueue: queue.Id));

        // The first two are as long as groups can be, so that no read brings more than one of them.
        foreach (var count in (int[])[IoctlLimits.MaxFaultGroup, IoctlLimits.MaxFaultGroup, 1])
        {
            await device.ReportFaultsAsync(Enumerable.Range(1, count).Select(page => new PageFault((ulong)page * Page, IommuPgfaultPerm.Read, (uint)count)));
        }

        Assert.Equal(IoctlLimits.MaxFaultGroup, (await TakeAsync(queue.ReadAllAsync(), 1))[0].Faults.Count);

        // All others are still there, and nothing else.
        var rest = new byte[2 * IoctlLimits.MaxFaultGroup * Unsafe.SizeOf<IommuHwptPgfault>()];
        Assert.Equal((IoctlLimits.MaxFaultGroup + 1) * Unsafe.SizeOf<IommuHwptPgfault>(), (await queue.File.ReadAsync(rest)).Count);
    }

    [Fact]
    public async Task A_group_that_nobody_is_asked_about_is_no_error()
    {
        var device = await BindVirtualAsync();
        await device.ReportFaultsAsync([new PageFault(0x1000, IommuPgfaultPerm.Read)]);
        await using var queue = await Context.AllocateFaultQueueAsync();
        await device.AttachAsync(Ioas);
        await device.ReportFaultsAsync([new PageFault(0x1000, IommuPgfaultPerm.Read)]);
        await device.ReplaceAsync(await Context.AllocateHwptAsync(device.Id, Ioas, faultQueue: queue.Id));
        Assert.Equal(PollEvents.Out, await queue.File.PollAsync());

        // Once the page table has a queue, the same faults go there.
        await device.ReportFaultsAsync([new PageFault(0x3000, IommuPgfaultPerm.Write)]);
        Assert.Equal(0x3000UL, (await TakeAsync(queue.ReadAllAsync(), 1))[0].Faults[0].Addr);
    }

    [Fact]
    public async Task What_is_no_group_is_refused_and_not_queued()
    {
        await using var queue = await Context.AllocateFaultQueueAsync();
        var device = await BindVirtualAsync();
        await device.AttachAsync(await Context.AllocateHwptAsync(device.Id, Ioas, faultQueue: queue.Id));
        var fault = new PageFault(0x1000, IommuPgfaultPerm.Read, Group);
        foreach (var (what, faults) in new (string, PageFault[])[]
        {
            ("no fault", []),
            ("two groups", [fault, fault with { Group = Group + 1 }]),
            ("two PASIDs", [fault, fault with { Pasid = Pasid }]),
            ("more than fit", [.. Enumerable.Repeat(fault, IoctlLimits.MaxFaultGroup + 1)]),
        })
        {
            await RefusedAsync(what, Errno.EINVAL, DiagnosticReason.InvalidFaultGroup, () => device.ReportFaultsAsync(faults).AsTask());
        }

        Assert.Equal(PollEvents.Out, await queue.File.PollAsync());
        await Assert.ThrowsAsync<ArgumentNullException>(() => device.ReportFaultsAsync(null!).AsTask());
        await device.UnbindAsync();
        await RefusedAsync("a device that is unbound", Errno.ENOENT, DiagnosticReason.ObjectNotFound, () => device.ReportFaultsAsync([fault]).AsTask());
        await RefusedAsync("an event of it", Errno.ENOENT, DiagnosticReason.ObjectNotFound, () => device.ReportEventAsync().AsTask());
    }

    [Fact]
    public async Task An_event_has_the_guests_stream_id_and_those_that_find_no_room_are_counted()
    {
        const int Depth = 3;
        const int Reported = 10;
        var device = await BindVirtualAsync();
        await RefusedAsync("an event without a vIOMMU", Errno.ENOENT, DiagnosticReason.NoViommu, () => ReportAsync(device, 0));
        var viommu = await NestAsync(device);
        await RefusedAsync("an event without a queue", Errno.EOPNOTSUPP, DiagnosticReason.NoVeventq, () => ReportAsync(device, 0));
        await using var queue = await Context.AllocateVeventqAsync(viommu, IommuVeventqType.ArmSmmuv3, Depth);
        await RefusedAsync("half an event", Errno.EINVAL, DiagnosticReason.InvalidEvent, () => device.ReportEventAsync(new byte[16]).AsTask());
        for (var i = 0U; i < Reported; i++)
        {
            await ReportAsync(device, i);
        }

        // The events that fit, and then the header that stands for the latest lost one.
        var events = await TakeAsync(queue.ReadAllAsync(), Depth + 1);

        Assert.Equal([0, 1, 2, Reported - 1], events.Select(item => item.Sequence));
        Assert.Equal([0, 0, 0, Reported - Depth], events.Select(item => item.Lost));
        Assert.Equal(IommuVeventqFlags.LostEvents, events[^1].Flags);
        Assert.Empty(events[^1].Data.ToArray());
        for (var i = 0U; i < Depth; i++)
        {
            var record = UapiStruct.Read<IommuVeventArmSmmuv3>(events[(int)i].Data.Span);
            Assert.Equal(Event(i) with { Evt0 = i | ((ulong)VirtId << 32) }, record);
        }
    }

    // An event whose words all differ. The high half of the first is the device's own stream id, which no guest may see.
    private static IommuVeventArmSmmuv3 Event(uint number)
        => new() { Evt0 = number | 0xDEAD_0000_0000_0000, Evt1 = 0x1_0000 + number, Evt2 = 0x2_0000 + number, Evt3 = 0x3_0000 + number };

    private static Task ReportAsync(IommuDevice device, uint number) => device.ReportEventAsync(UapiStruct.ToBytes(Event(number))).AsTask();

    private static async Task<List<T>> TakeAsync<T>(IAsyncEnumerable<T> stream, int count)
    {
        using var limit = new CancellationTokenSource(Eventually.Limit);
        var taken = new List<T>();
        await foreach (var item in stream.WithCancellation(limit.Token))
        {
            taken.Add(item);
            if (taken.Count == count)
            {
                break;
            }
        }

        return taken;
    }

    private Task<IommuDevice> BindVirtualAsync()
        => Driver.BindDeviceAsync(new DeviceDescription { Name = "0000:03:00.0", Iommu = DeviceDescription.VirtualIommu, PasidWidth = 8 });

    // Attaches the device to a page table of a guest, which knows it by a stream id of its own. The page table bypasses the first stage.
    private async Task<ObjectId> NestAsync(IommuDevice device)
    {
        var parent = await Context.AllocateHwptAsync(device.Id, Ioas, IommuHwptAllocFlags.NestParent);
        var viommu = await Context.AllocateViommuAsync(device.Id, parent, IommuViommuType.ArmSmmuv3);
        await Context.AllocateVdeviceAsync(viommu, device.Id, VirtId);
        await device.AttachAsync(await Context.AllocateNestedHwptAsync(device.Id, viommu, IommuHwptDataType.ArmSmmuv3, new IommuHwptArmSmmuv3 { Ste0 = 0b1001 }));
        return viommu;
    }
}
