using IommuFd.Client;
using IommuFd.GrainInterfaces;
using IommuFd.Uapi;
using IommuFd.UnitTests.Support;

namespace IommuFd.UnitTests.Client;

// The arguments that the typed commands on a guest's IOMMU make, with their data, and what they make of the answers.

public sealed class ViommuCommandTests
{
    private static readonly ObjectId Device = new(1);
    private static readonly ObjectId Parent = new(2);
    private readonly FakeContextGrain _grain = new();
    private readonly IommufdClient _client;

    public ViommuCommandTests() => _client = new IommufdClient(_grain.Channel);

    private IoctlRequest Sent => _grain.Calls.OfType<IoctlRequest>().Last();

    [Fact]
    public async Task A_fault_queue_of_a_page_table_sets_its_flag()
    {
        _grain.Ioctl = _ => Answer(new IommuHwptAlloc { OutHwptId = 9 });
        var context = await _client.OpenAsync();
        foreach (var (flags, queue, sent) in new[]
        {
            (IommuHwptAllocFlags.None, default, IommuHwptAllocFlags.None),
            (IommuHwptAllocFlags.Pasid, new ObjectId(7), IommuHwptAllocFlags.Pasid | IommuHwptAllocFlags.FaultIdValid),
        })
        {
            Expect.Equal(new ObjectId(9), await context.AllocateHwptAsync(Device, Parent, flags, queue), "the HWPT");
            Expect.Equal(
                new IommuHwptAlloc { Size = 48, Flags = (uint)sent, DevId = 1, PtId = 2, FaultId = queue.Value }, UapiStruct.Read<IommuHwptAlloc>(Sent.Argument), $"the argument with {queue}");
            Expect.Equal(null, Sent.Buffers, "its buffers");
        }
    }

    [Fact]
    public async Task A_nested_page_table_travels_with_its_data()
    {
        _grain.Ioctl = _ => Answer(new IommuHwptAlloc { OutHwptId = 9 });
        var context = await _client.OpenAsync();
        var id = await context.AllocateNestedHwptAsync(
            Device, Parent, IommuHwptDataType.Selftest, new IommuHwptSelftest { Iotlb = 0xABCD }, IommuHwptAllocFlags.Pasid, faultQueue: new ObjectId(7));

        Expect.Equal(new ObjectId(9), id, "the HWPT");
        var cmd = UapiStruct.Read<IommuHwptAlloc>(Sent.Argument);
        Expect.Equal((48U, 1U, 2U, 7U), (cmd.Size, cmd.DevId, cmd.PtId, cmd.FaultId), "the argument's size and ids");
        Expect.Equal(IommuHwptAllocFlags.Pasid | IommuHwptAllocFlags.FaultIdValid, (IommuHwptAllocFlags)cmd.Flags, "its flags");
        Expect.Equal((0xDEADU, 8U), (cmd.DataType, cmd.DataLen), "kind and length of the data");
        Expect.Sequence(Convert.FromHexString("CDAB000000000000"), Sent.Buffers!.Single().Content, "the data");
        Expect.That(cmd.DataUptr != 0 && cmd.DataUptr == Sent.Buffers!.Single().Address, $"The data is not where the argument says: 0x{cmd.DataUptr:X}.");

        _grain.Ioctl = _ => new IoctlReply { Errno = Errno.EOPNOTSUPP };
        var refused = await Assert.ThrowsAsync<IommufdException>(() => context.AllocateNestedHwptAsync(Device, Parent, IommuHwptDataType.None, Array.Empty<byte>()).AsTask());
        Expect.Equal((Errno.EOPNOTSUPP, "IOMMU_HWPT_ALLOC"), (refused.Errno, refused.Operation), "a refused one");
    }

    [Theory]
    [InlineData(Errno.None, 3U, 3)]
    [InlineData(Errno.EINVAL, 2U, 2)]
    [InlineData(Errno.EINVAL, 0U, 0)]
    [InlineData(Errno.None, uint.MaxValue, 3)]
    public async Task An_invalidation_answers_how_many_entries_were_handled(Errno errno, uint answered, int handled)
    {
        _grain.Ioctl = _ => Answer(new IommuHwptInvalidate { EntryNum = answered }, errno);
        var entries = new IommuHwptInvalidateSelftest[] { new() { IotlbId = 0 }, new() { IotlbId = 1 }, new() { Flags = 1 } };
        var result = await (await _client.OpenAsync()).InvalidateAsync<IommuHwptInvalidateSelftest>(Parent, IommuHwptInvalidateDataType.Selftest, entries);

        Expect.Equal(new InvalidationResult(handled, errno, null), result, "the answer");
        var cmd = UapiStruct.Read<IommuHwptInvalidate>(Sent.Argument);
        Expect.Equal((32U, 2U, 0xDEADBEEFU, 8U, 3U), (cmd.Size, cmd.HwptId, cmd.DataType, cmd.EntryLen, cmd.EntryNum), "the argument");
        Expect.Sequence(Convert.FromHexString("000000000000000000000000010000000100000000000000"), Sent.Buffers!.Single().Content, "the entries");
        if (errno != Errno.None)
        {
            Expect.Equal(("IOMMU_HWPT_INVALIDATE", errno), Thrown(result), "what is thrown when asked");
        }
    }

    [Fact]
    public async Task An_invalidation_that_copied_nothing_back_has_handled_nothing()
    {
        _grain.Ioctl = _ => new IoctlReply { Errno = Errno.EBADF };
        var context = await _client.OpenAsync();
        Expect.Equal(
            new InvalidationResult(0, Errno.EBADF, null),
            await context.InvalidateAsync<IommuHwptInvalidateSelftest>(Parent, IommuHwptInvalidateDataType.Selftest, new IommuHwptInvalidateSelftest[3]),
            "the answer");
        _grain.Ioctl = _ => Answer(new IommuHwptInvalidate());
        var empty = await context.InvalidateAsync(Parent, IommuHwptInvalidateDataType.Selftest, ReadOnlyMemory<IommuHwptInvalidateSelftest>.Empty);
        Expect.Equal((0, true), (empty.Handled, empty.Succeeded), "an invalidation without entries, which asks whether the kind is supported");
        Expect.Equal(null, Sent.Buffers, "its buffers");
    }

    [Fact]
    public async Task A_vIOMMU_gets_its_data_and_answers_it()
    {
        _grain.Ioctl = request => new IoctlReply
        {
            Argument = UapiStruct.ToBytes(new IommuViommuAlloc { Size = 40, OutViommuId = 9 }),
            Buffers = request.Buffers is [var buffer]
                ? [new UserBufferWrite(buffer.Address, UapiStruct.ToBytes(new IommuViommuSelftest { InData = 5, OutData = 5, OutMmapOffset = 0x1000, OutMmapLength = 0x2000 }))]
                : null,
        };
        var context = await _client.OpenAsync();
        Expect.Equal(new ObjectId(9), await context.AllocateViommuAsync(Device, Parent, IommuViommuType.ArmSmmuv3), "the vIOMMU without data");
        Expect.Equal(
            new IommuViommuAlloc { Size = 40, Type = 1, DevId = 1, HwptId = 2 }, UapiStruct.Read<IommuViommuAlloc>(Sent.Argument), "its argument");

        var (id, data) = await context.AllocateViommuAsync(Device, Parent, IommuViommuType.Selftest, new IommuViommuSelftest { InData = 5 });
        Expect.Equal((new ObjectId(9), 5U, 0x1000UL, 0x2000UL), (id, data.OutData, data.OutMmapOffset, data.OutMmapLength), "the vIOMMU with data");
        Expect.Equal((24U, 24), (UapiStruct.Read<IommuViommuAlloc>(Sent.Argument).DataLen, Sent.Buffers![0].Content.Length), "the length of the data");

        // More than there is room for: what does not fit is dropped.
        var small = new byte[4];
        await context.AllocateViommuAsync(Device, Parent, IommuViommuType.Selftest, small.AsMemory());
        Expect.Sequence<byte>([5, 0, 0, 0], small, "the front of the data");
    }

    [Fact]
    public async Task VDevices_and_HW_queues_are_asked_for_as_they_are()
    {
        var context = await _client.OpenAsync();
        _grain.Ioctl = _ => Answer(new IommuVdeviceAlloc { OutVdeviceId = 9 });
        Expect.Equal(new ObjectId(9), await context.AllocateVdeviceAsync(new ObjectId(4), Device, 0x1234_5678_9ABC), "the vDevice");
        Expect.Equal(
            new IommuVdeviceAlloc { Size = 24, ViommuId = 4, DevId = 1, VirtId = 0x1234_5678_9ABC }, UapiStruct.Read<IommuVdeviceAlloc>(Sent.Argument), "its argument");

        _grain.Ioctl = _ => Answer(new IommuHwQueueAlloc { OutHwQueueId = 8 });
        Expect.Equal(new ObjectId(8), await context.AllocateHwQueueAsync(new ObjectId(4), IommuHwQueueType.Selftest, 1, new Iova(0x10000), 0x1000), "the HW queue");
        Expect.Equal(
            new IommuHwQueueAlloc { Size = 40, ViommuId = 4, Type = 0xDEADBEEF, Index = 1, NestingParentIova = 0x10000, Length = 0x1000 },
            UapiStruct.Read<IommuHwQueueAlloc>(Sent.Argument),
            "its argument");
    }

    private static (string Operation, Errno Errno) Thrown(InvalidationResult result)
    {
        var thrown = Assert.Throws<IommufdException>(() => result.ThrowIfFailed());
        return (thrown.Operation, thrown.Errno);
    }

    private static IoctlReply Answer<T>(T argument, Errno errno = Errno.None)
        where T : unmanaged
        => new() { Errno = errno, Argument = UapiStruct.ToBytes(in argument) };
}
