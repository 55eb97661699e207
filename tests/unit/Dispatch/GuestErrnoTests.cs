using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using IommuFd.GrainInterfaces;
using IommuFd.Uapi;
using IommuFd.UnitTests.Support;

namespace IommuFd.UnitTests.Dispatch;

/// <summary>The errnos of the commands that a guest's monitor uses, in the order of the checks. A command that fails changes nothing.</summary>
public sealed class GuestErrnoTests
{
    private const uint Missing = 77;
    private const ulong Address = 0x5000;

    private readonly OpenContext _context = new();
    private readonly Guest _guest;

    public GuestErrnoTests() => _guest = _context.Guest();

    private uint Device => _guest.Mock.OutIdevId;

    [Fact]
    public void Nested_page_tables_are_refused_for_their_reasons()
    {
        var other = _context.AllocateHwpt(Device, _guest.Ioas);
        var cmd = new IommuHwptAlloc { DevId = Device, PtId = _guest.Parent, DataType = (uint)IommuHwptDataType.Selftest, DataLen = 4, DataUptr = Address };
        var data = new byte[4];
        Refused("a reserved field", Errno.EOPNOTSUPP, IommuCommand.HwptAlloc, cmd with { Reserved = 1 }, data);
        Refused("data without a type", Errno.EINVAL, IommuCommand.HwptAlloc, cmd with { DataType = 0 }, data);
        Refused("a type without data", Errno.EINVAL, IommuCommand.HwptAlloc, cmd with { DataLen = 0 }, []);
        Refused("no device", Errno.ENOENT, IommuCommand.HwptAlloc, cmd with { DevId = Missing }, data);
        Refused("no parent", Errno.EINVAL, IommuCommand.HwptAlloc, cmd with { PtId = Missing }, data);
        Refused("a fault queue for a parent", Errno.EINVAL, IommuCommand.HwptAlloc, cmd with { PtId = _guest.FaultQueue }, data);
        Refused("nesting on what is nested", Errno.EINVAL, IommuCommand.HwptAlloc, cmd with { PtId = _guest.Nested }, data);
        Refused("a nest parent that is nested", Errno.EOPNOTSUPP, IommuCommand.HwptAlloc, cmd with { Flags = (uint)IommuHwptAllocFlags.NestParent }, data);
        Refused("a parent that is none", Errno.EINVAL, IommuCommand.HwptAlloc, cmd with { PtId = other }, data);
        Refused("an automatic parent", Errno.EINVAL, IommuCommand.HwptAlloc, cmd with { PtId = _guest.Mock.OutHwptId }, data);
        Refused("data of another IOMMU", Errno.EOPNOTSUPP, IommuCommand.HwptAlloc, cmd with { DataType = (uint)IommuHwptDataType.ArmSmmuv3 }, data);
        Refused("data that is too short", Errno.EINVAL, IommuCommand.HwptAlloc, cmd with { DataLen = 2 }, new byte[2]);
        Refused("data that is too long", Errno.EINVAL, IommuCommand.HwptAlloc, cmd with { DataLen = 64 }, new byte[64]);
        Refused("data that can't be read", Errno.EFAULT, IommuCommand.HwptAlloc, cmd, []);
        Refused("no fault queue", Errno.ENOENT, IommuCommand.HwptAlloc, cmd with { Flags = (uint)IommuHwptAllocFlags.FaultIdValid, FaultId = Missing }, data);
        Refused("on a vIOMMU, flags that nesting does not know", Errno.EOPNOTSUPP, IommuCommand.HwptAlloc, cmd with { PtId = _guest.Viommu, Flags = (uint)IommuHwptAllocFlags.DirtyTracking }, data);
        Refused("on a vIOMMU, data that can't be read", Errno.EFAULT, IommuCommand.HwptAlloc, cmd with { PtId = _guest.Viommu }, []);
        Refused("on a vIOMMU, no fault queue", Errno.ENOENT, IommuCommand.HwptAlloc, cmd with { PtId = _guest.Viommu, Flags = (uint)IommuHwptAllocFlags.FaultIdValid, FaultId = _guest.Ioas }, data);
    }

    [Fact]
    public void Invalidations_are_refused_for_their_reasons()
    {
        var cmd = new IommuHwptInvalidate
        {
            HwptId = _guest.Nested,
            DataUptr = Address,
            DataType = (uint)IommuHwptInvalidateDataType.Selftest,
            EntryLen = 8,
            EntryNum = 1,
        };
        var entry = Bytes(new IommuHwptInvalidateSelftest { IotlbId = 1 });
        Invalidation("a reserved field", Errno.EOPNOTSUPP, 0, cmd with { Reserved = 1 }, entry);
        Invalidation("entries that are nowhere", Errno.EINVAL, 0, cmd with { DataUptr = 0 }, entry);
        Invalidation("entries without a length", Errno.EINVAL, 0, cmd with { EntryLen = 0 }, entry);
        Invalidation("no object", Errno.ENOENT, 0, cmd with { HwptId = Missing }, entry);
        Invalidation("a page table that is not nested", Errno.EINVAL, 0, cmd with { HwptId = _guest.Parent }, entry);
        Invalidation("more entries than one turn carries out", Errno.ENOMEM, 0, cmd with { EntryNum = 65_537 }, entry);
        Invalidation("more bytes than travel", Errno.ENOMEM, 0, cmd with { EntryNum = 1_024, EntryLen = 1_025 }, entry);
        Invalidation("entries of another kind", Errno.EINVAL, 0, cmd with { DataType = (uint)IommuHwptInvalidateDataType.ArmSmmuv3 }, entry);
        Invalidation("entries that are too short", Errno.EINVAL, 0, cmd with { EntryLen = 1 }, new byte[1]);
        Invalidation("an unknown flag", Errno.EOPNOTSUPP, 0, cmd, Bytes(new IommuHwptInvalidateSelftest { Flags = 2 }));
        Invalidation("no such entry of the cache", Errno.EINVAL, 0, cmd, Bytes(new IommuHwptInvalidateSelftest { IotlbId = 4 }));
        Invalidation("a second entry that can't be read", Errno.EFAULT, 1, cmd with { EntryNum = 2 }, entry);
        Invalidation("nothing", Errno.None, 0, cmd with { EntryNum = 0, EntryLen = 0 }, []);

        var ofViommu = cmd with { HwptId = _guest.Viommu, EntryLen = (uint)Unsafe.SizeOf<IommuViommuInvalidateSelftest>() };
        Invalidation("on a vIOMMU, no such vDevice", Errno.EINVAL, 0, ofViommu, Bytes(new IommuViommuInvalidateSelftest { VdevId = 0x98 }));
        Invalidation("on a vIOMMU, an unknown flag", Errno.EOPNOTSUPP, 0, ofViommu, Bytes(new IommuViommuInvalidateSelftest { VdevId = 0x99, Flags = 2 }));
        Invalidation("on a vIOMMU, entries of another kind", Errno.EINVAL, 0, ofViommu with { DataType = (uint)IommuHwptInvalidateDataType.ArmSmmuv3 }, new byte[12]);
        Invalidation("on a vIOMMU, entries that can't be read", Errno.EFAULT, 0, ofViommu, []);
    }

    [Fact]
    public void Queues_vIOMMUs_and_vDevices_are_refused_for_their_reasons()
    {
        Refused("flags of a fault queue", Errno.EOPNOTSUPP, IommuCommand.FaultQueueAlloc, new IommuFaultAlloc { Flags = 1 }, null);

        var viommu = new IommuViommuAlloc { Type = (uint)IommuViommuType.Selftest, DevId = Device, HwptId = _guest.Parent };
        Refused("flags of a vIOMMU", Errno.EOPNOTSUPP, IommuCommand.ViommuAlloc, viommu with { Flags = 1 }, null);
        Refused("no type of a vIOMMU", Errno.EOPNOTSUPP, IommuCommand.ViommuAlloc, viommu with { Type = 0 }, null);
        Refused("no device for a vIOMMU", Errno.ENOENT, IommuCommand.ViommuAlloc, viommu with { DevId = Missing }, null);
        Refused("a type that the IOMMU has not", Errno.EOPNOTSUPP, IommuCommand.ViommuAlloc, viommu with { Type = (uint)IommuViommuType.ArmSmmuv3 }, null);
        Refused("no page table for a vIOMMU", Errno.ENOENT, IommuCommand.ViommuAlloc, viommu with { HwptId = _guest.Nested }, null);
        Refused("a page table that is no nest parent", Errno.EINVAL, IommuCommand.ViommuAlloc, viommu with { HwptId = _guest.Mock.OutHwptId }, null);
        Refused("data that is too short", Errno.EINVAL, IommuCommand.ViommuAlloc, viommu with { DataLen = 2, DataUptr = Address }, new byte[2]);
        Refused("data that can't be read", Errno.EFAULT, IommuCommand.ViommuAlloc, viommu with { DataLen = 24, DataUptr = Address }, []);

        var vdevice = new IommuVdeviceAlloc { ViommuId = _guest.Viommu, DevId = Device, VirtId = 1 };
        Refused("no vIOMMU", Errno.ENOENT, IommuCommand.VdeviceAlloc, vdevice with { ViommuId = Missing }, null);
        Refused("no device", Errno.ENOENT, IommuCommand.VdeviceAlloc, vdevice with { DevId = Missing }, null);
        Refused("a device that has a vDevice", Errno.EEXIST, IommuCommand.VdeviceAlloc, vdevice, null);
        var second = _context.MockDomain(_guest.Ioas).OutIdevId;
        Refused("an id that another device has", Errno.EEXIST, IommuCommand.VdeviceAlloc, vdevice with { DevId = second, VirtId = 0x99 }, null);

        var events = new IommuVeventqAlloc { ViommuId = _guest.Viommu, Type = (uint)IommuVeventqType.Selftest, VeventqDepth = 1 };
        Refused("flags of an event queue", Errno.EOPNOTSUPP, IommuCommand.VeventqAlloc, events with { Flags = 1 }, null);
        Refused("a reserved field of an event queue", Errno.EOPNOTSUPP, IommuCommand.VeventqAlloc, events with { Reserved = 1 }, null);
        Refused("no type of an event queue", Errno.EOPNOTSUPP, IommuCommand.VeventqAlloc, events with { Type = 0 }, null);
        Refused("no depth", Errno.EINVAL, IommuCommand.VeventqAlloc, events with { VeventqDepth = 0 }, null);
        Refused("no vIOMMU for an event queue", Errno.ENOENT, IommuCommand.VeventqAlloc, events with { ViommuId = Missing }, null);
        Refused("a second queue of a type", Errno.EEXIST, IommuCommand.VeventqAlloc, events, null);
    }

    [Fact]
    public void Hardware_queues_are_refused_for_their_reasons()
    {
        var cmd = new IommuHwQueueAlloc
        {
            ViommuId = _guest.Viommu,
            Type = (uint)IommuHwQueueType.Selftest,
            Index = 1,
            NestingParentIova = TestDevices.ApertureStart + 0x1000,
            Length = 0x1000,
        };
        Refused("flags", Errno.EOPNOTSUPP, IommuCommand.HwQueueAlloc, cmd with { Flags = 1 }, null);
        Refused("no type", Errno.EOPNOTSUPP, IommuCommand.HwQueueAlloc, cmd with { Type = 0 }, null);
        Refused("no memory", Errno.EINVAL, IommuCommand.HwQueueAlloc, cmd with { Length = 0 }, null);
        Refused("memory past the last IOVA", Errno.EOVERFLOW, IommuCommand.HwQueueAlloc, cmd with { NestingParentIova = ulong.MaxValue, Length = 2 }, null);
        Refused("no vIOMMU", Errno.ENOENT, IommuCommand.HwQueueAlloc, cmd with { ViommuId = Missing }, null);
        Refused("a type that the vIOMMU has not", Errno.EOPNOTSUPP, IommuCommand.HwQueueAlloc, cmd with { Type = 1 }, null);
        Refused("memory that is not mapped", Errno.ENOENT, IommuCommand.HwQueueAlloc, cmd with { NestingParentIova = 0x7000_0000 }, null);
        Refused("no such index", Errno.EINVAL, IommuCommand.HwQueueAlloc, cmd with { Index = 2 }, null);
        Refused("an index that is taken", Errno.EEXIST, IommuCommand.HwQueueAlloc, cmd with { Index = 0 }, null);
        _context.RunOk(IommuCommand.Destroy, new IommuDestroy { Id = _guest.HwQueue });
        Refused("an index whose one before it is free", Errno.EIO, IommuCommand.HwQueueAlloc, cmd, null);

        _context.RunOk(IommuCommand.HwQueueAlloc, cmd with { Index = 0 });
        Refused("unmapping what it lies in", Errno.EBUSY, IommuCommand.IoasUnmap, new IommuIoasUnmap { IoasId = _guest.Ioas, Length = ulong.MaxValue }, null);
    }

    [Fact]
    public void The_selftests_ops_on_guests_are_refused_for_their_reasons()
    {
        Test("a cache of no nested page table", Errno.ENOENT, IommuTestOp.MdCheckIotlb, _guest.Parent, default(IommuTestCheckIotlb));
        Test("an entry that the cache has not", Errno.EINVAL, IommuTestOp.MdCheckIotlb, _guest.Nested, new IommuTestCheckIotlb { Id = 4, Iotlb = 7 });
        Test("another content of the cache", Errno.EINVAL, IommuTestOp.MdCheckIotlb, _guest.Nested, new IommuTestCheckIotlb { Iotlb = 8 });
        Test("a fault of no device", Errno.ENOENT, IommuTestOp.TriggerIopf, 0, new IommuTestTriggerIopf { DevId = Missing });
        Test("an event of no device", Errno.ENOENT, IommuTestOp.TriggerVevent, 0, new IommuTestTriggerVevent { DevId = Missing });
        Test("an event of a device that no guest's page table has", Errno.ENOENT, IommuTestOp.TriggerVevent, 0, new IommuTestTriggerVevent { DevId = Device });

        var pasid = new IommuTestPasidAttach { Pasid = 1, PtId = _guest.Parent };
        Test("a PASID of no owner", Errno.ENOENT, IommuTestOp.PasidAttach, Missing, pasid);
        Test("a page table that is not for PASIDs", Errno.EINVAL, IommuTestOp.PasidAttach, _guest.Mock.OutStdevId, pasid);
        Test("no page table for a PASID", Errno.ENOENT, IommuTestOp.PasidAttach, _guest.Mock.OutStdevId, pasid with { PtId = Missing });
        Test("moving a PASID that is not attached", Errno.EINVAL, IommuTestOp.PasidReplace, _guest.Mock.OutStdevId, pasid);
        Test("detaching a PASID of no owner", Errno.ENOENT, IommuTestOp.PasidDetach, Missing, new IommuTestPasidDetach { Pasid = 1 });
        Test("the page table of a PASID of no owner", Errno.ENOENT, IommuTestOp.PasidCheckHwpt, Missing, new IommuTestPasidCheck { Pasid = 1 });
        Test("no page table to compare with", Errno.ENOENT, IommuTestOp.PasidCheckHwpt, _guest.Mock.OutStdevId, new IommuTestPasidCheck { Pasid = 1, HwptId = Missing });
        Test("another page table", Errno.EINVAL, IommuTestOp.PasidCheckHwpt, _guest.Mock.OutStdevId, new IommuTestPasidCheck { Pasid = 1, HwptId = _guest.Parent });
    }

    private static byte[] Bytes<T>(T value)
        where T : unmanaged
        => UapiStruct.ToBytes(in value);

    private void Test<T>(string what, Errno errno, IommuTestOp op, uint id, T fields)
        where T : unmanaged
        => Refused(what, errno, IommuCommand.TestCmd, new IommuTestCmd { Op = (uint)op, Id = id, Fields = IommuTestCmdUnion.Of(in fields) }, null);

    private void Invalidation(string what, Errno errno, uint done, IommuHwptInvalidate cmd, byte[] entries)
    {
        var reply = Refused(what, errno, IommuCommand.HwptInvalidate, cmd, entries);
        Expect.Equal(done, UapiStruct.Read<IommuHwptInvalidate>(reply.Argument).EntryNum, $"{what}: entries that were carried out");
    }

    private IoctlReply Refused<T>(string what, Errno errno, IommuCommand command, T argument, byte[]? buffer)
        where T : unmanaged
    {
        var bytes = Bytes(argument);
        MemoryMarshal.Write(bytes, bytes.Length);
        var before = _context.FullSnapshot();
        var reply = _context.Run(new IoctlRequest
        {
            Command = (uint)command,
            Argument = bytes,
            WritableBytes = (uint)bytes.Length,
            Buffers = buffer is null ? null : [new UserBuffer { Address = Address, Length = (uint)buffer.Length, ReadableBytes = (uint)buffer.Length, WritableBytes = (uint)buffer.Length, Content = buffer }],
        });
        Expect.Equal(errno, reply.Errno, $"{command}, {what} ({reply.Diagnostic})");
        Expect.Equal(before, _context.FullSnapshot(), $"the context after {command}, {what}");
        Expect.That(errno == Errno.None || reply.Diagnostic is not null, $"{command}, {what}: nobody says why.");
        return reply;
    }
}
