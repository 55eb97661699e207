using IommuFd.Client;
using IommuFd.ClusterTests.Ioctls;
using IommuFd.GrainInterfaces;
using IommuFd.Uapi;

namespace IommuFd.ClusterTests.Devices;

/// <summary>Page faults and events on their way to a program, and what becomes of them when objects go.</summary>
[Collection(DeviceCluster.Name)]
public sealed class QueueTests(DeviceCluster cluster) : DeviceContext(cluster)
{
    private const uint Group = 7;

    [Fact]
    public async Task A_fault_group_whose_response_never_comes_holds_up_nothing()
    {
        await using var queue = await Context.AllocateFaultQueueAsync();
        var device = await BindAsync();
        var hwpt = await Context.AllocateHwptAsync(device.Id, Ioas, IommuHwptAllocFlags.FaultIdValid, queue.Id);
        await device.AttachAsync(hwpt);
        await FaultAsync(device, 0x1000);
        var group = await NextAsync(queue.ReadAllAsync());
        Assert.Equal((device.Id, 1, 0x1000UL), (group.Device, group.Faults.Count, group.Faults[0].Addr));
        Assert.Equal(PollEvents.Out, await queue.File.PollAsync());

        // The group is still outstanding. Its device leaves, and that answers it.
        await device.DetachAsync();
        await ExpectLateAsync(queue, group, "the device has left");

        await device.UnbindAsync();
        await Context.DestroyAsync(hwpt);
        await queue.DisposeAsync();
        await Context.DestroyAsync(queue.Id);
    }

    [Fact]
    public async Task Faults_outstanding_in_a_queue_are_answered_when_the_device_moves_to_another_queue()
    {
        await using var one = await Context.AllocateFaultQueueAsync();
        await using var two = await Context.AllocateFaultQueueAsync();
        var device = await BindAsync();
        var first = await Context.AllocateHwptAsync(device.Id, Ioas, IommuHwptAllocFlags.FaultIdValid, one.Id);
        var second = await Context.AllocateHwptAsync(device.Id, Ioas, IommuHwptAllocFlags.FaultIdValid, two.Id);
        await device.AttachAsync(first);
        await FaultAsync(device, 0x1000);
        var delivered = await NextAsync(one.ReadAllAsync());
        await FaultAsync(device, 0x2000);

        await device.ReplaceAsync(second);

        await ExpectLateAsync(one, delivered, "the device has moved");
        Assert.Equal(PollEvents.Out, await one.File.PollAsync());
        await FaultAsync(device, 0x3000);
        var next = await NextAsync(two.ReadAllAsync());
        Assert.Equal(0x3000UL, next.Faults[0].Addr);
        await two.RespondAsync(next, IommuPageResponseCode.Success);
        await ExpectLateAsync(two, next, "it was answered before");
    }

    [Fact]
    public async Task A_group_is_read_whole_or_not_at_all()
    {
        await using var queue = await Context.AllocateFaultQueueAsync();
        var device = await BindAsync();
        await device.AttachAsync(await Context.AllocateHwptAsync(device.Id, Ioas, IommuHwptAllocFlags.FaultIdValid, queue.Id));
        await FaultAsync(device, 0x1000);
        var record = UapiStruct.ToBytes(default(IommuHwptPgfault)).Length;
        var memory = new CallerMemory().Add(0x5000, new byte[record]).Add(0x9000, new byte[record - 1]);

        var short1 = await queue.File.ReadAsync(new byte[record - 1]);
        var absent = await queue.File.ReadAsync(0x7000, (ulong)record, memory);
        var halfThere = await queue.File.ReadAsync(0x9000, (ulong)record, memory);
        var empty = await queue.File.ReadAsync(Memory<byte>.Empty);

        Assert.Equal((Errno.ESPIPE, 0), (short1.Errno, short1.Count));
        Assert.Equal((Errno.EFAULT, 0), (absent.Errno, absent.Count));
        Assert.Equal((Errno.EFAULT, 0), (halfThere.Errno, halfThere.Count));
        Assert.Equal((Errno.None, 0), (empty.Errno, empty.Count));
        Assert.Equal(PollEvents.In | PollEvents.Out, await queue.File.PollAsync());
        var whole = await queue.File.ReadAsync(0x5000, (ulong)record, memory);
        Assert.Equal((Errno.None, record), (whole.Errno, whole.Count));
    }

    [Fact]
    public async Task A_fault_queue_is_EBUSY_while_its_file_is_open_or_a_page_table_uses_it()
    {
        var queue = await Context.AllocateFaultQueueAsync();
        await RefusedAsync("a queue whose file is open", Errno.EBUSY, DiagnosticReason.ObjectHeld, () => Context.DestroyAsync(queue.Id).AsTask());
        var device = await BindAsync();
        var hwpt = await Context.AllocateHwptAsync(device.Id, Ioas, IommuHwptAllocFlags.FaultIdValid, queue.Id);

        await queue.DisposeAsync();

        var busy = await RefusedAsync("a queue of a page table", Errno.EBUSY, DiagnosticReason.ObjectHeld, () => Context.DestroyAsync(queue.Id).AsTask());
        Assert.Equal([hwpt], busy.Holders.Select(holder => holder.Id));

        // A fault of a queue that nobody can read any more waits for nobody, and goes with its device.
        await device.AttachAsync(hwpt);
        await FaultAsync(device, 0x1000);
        await device.UnbindAsync();
        await Context.DestroyAsync(hwpt);
        await Context.DestroyAsync(queue.Id);
        var read = await queue.File.ReadAsync(new byte[UapiStruct.ToBytes(default(IommuHwptPgfault)).Length]);
        Assert.Equal(Errno.EBADF, read.Errno);
    }

    [Fact]
    public async Task Events_beyond_a_queues_depth_are_lost_and_counted()
    {
        const int Depth = 3;
        const int Reported = 10;
        var (device, viommu) = await GuestAsync();
        await using var queue = await Context.AllocateVeventqAsync(viommu, IommuVeventqType.Selftest, Depth);
        for (var i = 0; i < Reported; i++)
        {
            await EventAsync(device);
        }

        var received = new List<Vevent>();
        await foreach (var got in queue.ReadAllAsync())
        {
            received.Add(got);
            if (got.Flags.HasFlag(IommuVeventqFlags.LostEvents))
            {
                break;
            }
        }

        Assert.Equal(Depth, received.Count(got => got.Data.Length > 0));
        Assert.Equal(Reported, received.Sum(got => (got.Data.IsEmpty ? 0 : 1) + got.Lost));
        Assert.Equal((uint)Reported - 1, received[^1].Sequence);

        // There is room again: the next event comes, and nothing was lost before it.
        await EventAsync(device);
        var next = await NextAsync(queue.ReadAllAsync());
        Assert.Equal(((uint)Reported, 0U), (next.Sequence, next.Lost));
        Assert.Equal(0x20U, UapiStruct.Read<IommuViommuEventSelftest>(next.Data.Span).VirtId);
    }

    [Fact]
    public async Task An_event_queue_is_EBUSY_while_its_file_is_open_and_keeps_its_vIOMMU()
    {
        var (device, viommu) = await GuestAsync();
        var queue = await Context.AllocateVeventqAsync(viommu, IommuVeventqType.Selftest, 1);
        await EventAsync(device);

        await RefusedAsync("a queue whose file is open", Errno.EBUSY, DiagnosticReason.ObjectHeld, () => Context.DestroyAsync(queue.Id).AsTask());
        await RefusedAsync("a vIOMMU with a queue", Errno.EBUSY, DiagnosticReason.ObjectHeld, () => Context.DestroyAsync(viommu).AsTask());
        await queue.DisposeAsync();
        await Context.DestroyAsync(queue.Id);

        // An event that there is no queue for is lost.
        var (errno, _) = await new RawProgram(Context).TestAsync(IommuTestOp.TriggerVevent, 0, new IommuTestTriggerVevent { DevId = device.Id.Value });
        Assert.Equal(Errno.EOPNOTSUPP, errno);
    }

    private static async Task<T> NextAsync<T>(IAsyncEnumerable<T> stream)
    {
        using var limit = new CancellationTokenSource(Eventually.Limit);
        await foreach (var item in stream.WithCancellation(limit.Token))
        {
            return item;
        }

        throw new InvalidOperationException("A stream without an end has ended.");
    }

    private static async Task ExpectLateAsync(IommuFaultQueue queue, PageFaultGroup group, string what)
    {
        var late = await Record.ExceptionAsync(() => queue.RespondAsync(group, IommuPageResponseCode.Success).AsTask());
        Assert.True((late as IommufdException)?.Errno == Errno.EINVAL, $"{what}: expected EINVAL for the response to {group.Cookie}, was {late?.Message ?? "success"}");
    }

    private Task FaultAsync(IommuDevice device, ulong address)
        => new RawProgram(Context).ExpectAsync(
            $"a fault at {address:X}",
            Errno.None,
            IommuTestOp.TriggerIopf,
            0,
            new IommuTestTriggerIopf { DevId = device.Id.Value, Grpid = Group, Perm = (uint)IommuPgfaultPerm.Read, Addr = address });

    private Task EventAsync(IommuDevice device)
        => new RawProgram(Context).ExpectAsync("an event", Errno.None, IommuTestOp.TriggerVevent, 0, new IommuTestTriggerVevent { DevId = device.Id.Value });

    // A device that a guest's IOMMU knows: what it reports goes there once it is attached to a page table of the guest.
    private async Task<(IommuDevice Device, ObjectId Viommu)> GuestAsync()
    {
        var device = await BindAsync();
        var parent = await Context.AllocateHwptAsync(device.Id, Ioas, IommuHwptAllocFlags.NestParent);
        var viommu = await Context.AllocateViommuAsync(device.Id, parent, IommuViommuType.Selftest);
        await Context.AllocateVdeviceAsync(viommu, device.Id, 0x20);
        await device.AttachAsync(await Context.AllocateNestedHwptAsync(device.Id, viommu, IommuHwptDataType.Selftest, default(IommuHwptSelftest)));
        return (device, viommu);
    }
}
