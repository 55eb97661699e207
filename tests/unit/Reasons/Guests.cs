using IommuFd.GrainInterfaces;
using IommuFd.Uapi;
using IommuFd.UnitTests.Support;
using static IommuFd.GrainInterfaces.DiagnosticReason;
using static IommuFd.UnitTests.Reasons.World;

namespace IommuFd.UnitTests.Reasons;

/// <summary>The commands that a guest's monitor uses. The guest's objects are 3 to 14: IOAS, owner, device, HWPT, nest parent, fault queue, vIOMMU, vDevice, event queue, hardware queue, its access, nested HWPT.</summary>
internal static class Guests
{
    private const uint Selftest = 0xDEADBEEF;
    private const uint Events = (uint)IommuVeventqType.Selftest;

    public static IEnumerable<Row> Rows =>
    [
        new("HWPT_ALLOC on a HWPT with an unknown flag", Errno.EOPNOTSUPP, UnsupportedFlags, "the flags 0x2 are not supported", w => Nested(w, new() { PtId = w.Guest.Parent, Flags = 10 })) { Value = 2 },
        new("HWPT_ALLOC on a HWPT without data", Errno.EOPNOTSUPP, NestingNeedsData, "a HWPT nested on HWPT 7 is made of data, and there is none",
            w => w.Ioctl(IommuCommand.HwptAlloc, new IommuHwptAlloc { DevId = w.Guest.Mock.OutIdevId, PtId = w.Guest.Parent })) { Id = 7 },
        new("HWPT_ALLOC on a HWPT behind an IOMMU that nests on vIOMMUs only", Errno.EOPNOTSUPP, CannotNest, "the device's IOMMU nests no page table on HWPT 4", w =>
        {
            var device = Virtual(w);
            return Nested(w, new() { DevId = device, PtId = w.Context.AllocateHwpt(device, 1, IommuHwptAllocFlags.NestParent) });
        }) { Id = 4 },
        new("HWPT_ALLOC on a HWPT that is no nest parent", Errno.EINVAL, NotNestParent, "HWPT 6 was not allocated as a nest parent", w => Nested(w, new() { PtId = w.Guest.Mock.OutHwptId })) { Id = 6 },
        new("HWPT_ALLOC on another IOMMU's nest parent", Errno.EINVAL, OtherIommu, "device 5 is behind another IOMMU than object 16",
            w => Nested(w, new() { DevId = w.Guest.Mock.OutIdevId, PtId = w.Context.AllocateHwpt(Virtual(w), 1, IommuHwptAllocFlags.NestParent) })) { Value = 16, Id = 5 },
        new("HWPT_ALLOC on another IOMMU's vIOMMU", Errno.EINVAL, OtherIommu, "device 15 is behind another IOMMU than object 9", w => Nested(w, new() { PtId = w.Guest.Viommu, DevId = Virtual(w) }))
            { Value = 9, Id = 15 },
        new("HWPT_ALLOC on a nested HWPT", Errno.EINVAL, CannotAllocateOn, "no HWPT can be allocated on nested HWPT 14, only on an IOAS, a paging HWPT or a vIOMMU", w => Nested(w, new() { PtId = w.Guest.Nested })) { Id = 14 },
        new("HWPT_ALLOC on a vIOMMU with another IOMMU's data", Errno.EOPNOTSUPP, UnsupportedData, "the device's IOMMU does not take this data, of the type 0x2",
            w => Nested(w, new() { PtId = w.Guest.Viommu, DataType = 2 })) { Value = 2, Limit = 4 },
        new("HWPT_ALLOC on a vIOMMU with long data", Errno.EINVAL, WrongDataLength, "data of the type 0xDEAD does not have 64 bytes", w => Nested(w, new() { PtId = w.Guest.Viommu, DataLen = 64 }, new byte[64]))
            { Value = 0xDEAD, Limit = 64 },
        new("HWPT_ALLOC on a vIOMMU with data that can't be read", Errno.EFAULT, BufferFault, "only 1 of 4 bytes of the buffer can be accessed", w => Nested(w, new() { PtId = w.Guest.Viommu }, new byte[4], 1))
            { Value = 1, Limit = 4 },
        new("HWPT_ALLOC of a stream table entry that a guest must not have", Errno.EIO, InvalidData, "the content of the data, of the type 0x2, is one that a guest must not have",
            w => Nested(w, new() { DevId = Virtual(w), PtId = VirtualViommu(w), DataType = 2, DataLen = 16 }, Bytes(new IommuHwptArmSmmuv3 { Ste0 = ulong.MaxValue }))) { Value = 2, Limit = 16 },
        new("HWPT_ALLOC on a vIOMMU without its fault queue", Errno.ENOENT, ObjectOfOtherType, "object 3 is an IOAS, the command needs another kind",
            w => Nested(w, new() { PtId = w.Guest.Viommu, Flags = 4, FaultId = w.Guest.Ioas })) { Id = 3 },

        new("HWPT_INVALIDATE with a reserved field", Errno.EOPNOTSUPP, ReservedNotZero, "a reserved field is 0x2, it must be 0", w => Invalidate(w, w.Guest.Nested, 8, 1, reserved: 2)) { Value = 2 },
        new("HWPT_INVALIDATE without an address", Errno.EINVAL, NoEntries, "2 entries need an address and a length", w => Invalidate(w, w.Guest.Nested, 8, 2, address: 0)) { Value = 2 },
        new("HWPT_INVALIDATE of nothing", Errno.ENOENT, ObjectNotFound, "no object has the id 77", w => Invalidate(w, Missing, 8, 1)) { Id = Missing },
        new("HWPT_INVALIDATE of a paging HWPT", Errno.EINVAL, NotInvalidatable, "HWPT 7 takes no invalidations", w => Invalidate(w, w.Guest.Parent, 8, 1)) { Id = 7 },
        new("HWPT_INVALIDATE of too many entries", Errno.ENOMEM, TooManyEntries, "the invalidation has 65,537 entries, the limit is 65,536", w => Invalidate(w, w.Guest.Nested, 8, 65_537))
            { Value = 65_537, Limit = 65_536 },
        new("HWPT_INVALIDATE of more entries than Linux takes", Errno.EINVAL, TooManyEntries, "the invalidation has 524,289 entries, the limit is 524,288",
            w => Invalidate(w, w.Guest.Nested, 8, 524_289)) { Value = 524_289, Limit = 524_288 },
        new("HWPT_INVALIDATE of entries larger than a page", Errno.EINVAL, RequestTooLarge, "the request is 4,097 bytes, the limit is 4,096", w => Invalidate(w, w.Guest.Nested, 4_097, 1))
            { Value = 4_097, Limit = 4_096 },
        new("HWPT_INVALIDATE of too many bytes", Errno.ENOMEM, RequestTooLarge, "the request is 1,049,600 bytes, the limit is 1,048,576", w => Invalidate(w, w.Guest.Nested, 1_025, 1_024))
            { Value = 1_049_600, Limit = 1_048_576 },
        new("HWPT_INVALIDATE with another IOMMU's entries", Errno.EINVAL, WrongEntryKind, "the entries are of the kind 0x1, which the object does not take", w => Invalidate(w, w.Guest.Nested, 8, 1, type: 1))
            { Value = 1, Id = 14 },
        new("HWPT_INVALIDATE with short entries", Errno.EINVAL, WrongEntryLength, "the entries have 4 bytes each, they must have 8", w => Invalidate(w, w.Guest.Nested, 4, 1)) { Value = 4, Limit = 8, Id = 14 },
        new("HWPT_INVALIDATE whose second entry can't be read", Errno.EFAULT, BufferFault, "only 8 of 16 bytes of the buffer can be accessed",
            w => Invalidate(w, w.Guest.Nested, 8, 2, content: Bytes(default(IommuHwptInvalidateSelftest)))) { Value = 8, Limit = 16, Id = 14 },
        new("HWPT_INVALIDATE whose second entry does not exist", Errno.EINVAL, InvalidEntry, "entry 1 of the invalidation asks for what the IOMMU or the guest does not have, those before it were carried out",
            w => Invalidate(w, w.Guest.Nested, 8, 2, content: Bytes(default, new IommuHwptInvalidateSelftest { IotlbId = 4 }))) { Value = 1, Id = 14 },
        new("HWPT_INVALIDATE of a vIOMMU with bytes that it does not know", Errno.E2BIG, UnknownBytesNotZero, "size is 16, and a byte beyond the 12 known ones is not zero",
            w => Invalidate(w, w.Guest.Viommu, 16, 1, content: [.. Bytes(new IommuViommuInvalidateSelftest { VdevId = 0x99 }), 0, 0, 0, 1])) { Value = 16, Limit = 12 },
        new("HWPT_INVALIDATE of a vIOMMU whose entries can't be read", Errno.EFAULT, BufferFault, "only 12 of 24 bytes of the buffer can be accessed",
            w => Invalidate(w, w.Guest.Viommu, 12, 2, content: Bytes(new IommuViommuInvalidateSelftest { VdevId = 0x99 }))) { Value = 12, Limit = 24 },
        new("HWPT_INVALIDATE of a vIOMMU without the vDevice", Errno.EINVAL, InvalidEntry, "entry 1 of the invalidation asks for what the IOMMU or the guest does not have, those before it were carried out",
            w => Invalidate(w, w.Guest.Viommu, 12, 2, content: Bytes(new IommuViommuInvalidateSelftest { VdevId = 0x99 }, new IommuViommuInvalidateSelftest { VdevId = 1 }))) { Value = 1 },
        new("HWPT_INVALIDATE of a virtual vIOMMU without entries", Errno.EINVAL, NoEntries, "there is no entry", w => Invalidate(w, VirtualViommu(w), 16, 0, type: 1)),
        new("HWPT_INVALIDATE of a virtual HWPT", Errno.EOPNOTSUPP, NotInvalidatable, "nested HWPT 6 takes no invalidations", w =>
        {
            w.With(w => Nested(w, new() { DevId = Virtual(w), PtId = VirtualViommu(w), DataType = 2, DataLen = 16 }, new byte[16]));
            return Invalidate(w, 6, 16, 1, type: 1);
        }) { Id = 6 },

        new("FAULT_QUEUE_ALLOC with flags", Errno.EOPNOTSUPP, UnsupportedFlags, "the flags 0x1 are not supported", w => w.Ioctl(IommuCommand.FaultQueueAlloc, new IommuFaultAlloc { Flags = 1 })) { Value = 1 },
        new("FAULT_QUEUE_ALLOC whose session a client has", Errno.EMFILE, SessionTaken, "a client has already taken the session that the file would have", w =>
        {
            // The client's own reference is number 2, the file's would be 3.
            w.Context.Model.Get(ReferenceKind.Driver, "client", FileTarget.SessionOf(new ReferenceId(3)));
            return w.Ioctl(IommuCommand.FaultQueueAlloc, default(IommuFaultAlloc));
        }),

        new("VIOMMU_ALLOC with flags", Errno.EOPNOTSUPP, UnsupportedFlags, "the flags 0x2 are not supported", w => Viommu(w, new() { Flags = 2 })) { Value = 2 },
        new("VIOMMU_ALLOC of no kind", Errno.EOPNOTSUPP, UnsupportedKind, "the device's IOMMU has nothing of the kind 0x0", w => Viommu(w, new() { Type = 0 })),
        new("VIOMMU_ALLOC of a kind that the IOMMU has not", Errno.EOPNOTSUPP, UnsupportedKind, "the device's IOMMU has nothing of the kind 0x1", w => Viommu(w, new() { Type = 1 })) { Value = 1 },
        new("VIOMMU_ALLOC on a nested HWPT", Errno.ENOENT, ObjectOfOtherType, "object 14 is a nested HWPT, the command needs another kind", w => Viommu(w, new() { Type = Selftest, HwptId = w.Guest.Nested })) { Id = 14 },
        new("VIOMMU_ALLOC on a HWPT that is no nest parent", Errno.EINVAL, NotNestParent, "HWPT 6 was not allocated as a nest parent", w => Viommu(w, new() { Type = Selftest, HwptId = w.Guest.Mock.OutHwptId }))
            { Id = 6 },
        new("VIOMMU_ALLOC on another IOMMU's nest parent", Errno.EINVAL, OtherIommu, "device 5 is behind another IOMMU than object 16",
            w => Viommu(w, new() { Type = Selftest, DevId = w.Guest.Mock.OutIdevId, HwptId = w.Context.AllocateHwpt(Virtual(w), 1, IommuHwptAllocFlags.NestParent) })) { Value = 16, Id = 5 },
        new("VIOMMU_ALLOC with short data", Errno.EINVAL, WrongDataLength, "data of the type 0xDEADBEEF does not have 2 bytes",
            w => Viommu(w, new() { Type = Selftest, HwptId = w.Guest.Parent, DataLen = 2 }, In(new byte[2]))) { Value = Selftest, Limit = 2 },
        new("VIOMMU_ALLOC with data that can't be read", Errno.EFAULT, BufferFault, "only 5 of 24 bytes of the buffer can be accessed",
            w => Viommu(w, new() { Type = Selftest, HwptId = w.Guest.Parent, DataLen = 24 }, In(new byte[24], 5))) { Value = 5, Limit = 24 },

        new("VDEVICE_ALLOC behind another IOMMU", Errno.EINVAL, OtherIommu, "device 15 is behind another IOMMU than object 9",
            w => w.Ioctl(IommuCommand.VdeviceAlloc, new IommuVdeviceAlloc { ViommuId = w.Guest.Viommu, DevId = Virtual(w), VirtId = 1 })) { Value = 9, Id = 15 },
        new("VDEVICE_ALLOC of a device that has one", Errno.EEXIST, DeviceHasVdevice, "device 5 already has a vDevice",
            w => w.Ioctl(IommuCommand.VdeviceAlloc, new IommuVdeviceAlloc { ViommuId = w.Guest.Viommu, DevId = w.Guest.Mock.OutIdevId, VirtId = 1 })) { Id = 5 },
        new("VDEVICE_ALLOC of an id that another has", Errno.EEXIST, VirtualIdTaken, "the vIOMMU already has a vDevice with the id 0x99",
            w => w.Ioctl(IommuCommand.VdeviceAlloc, new IommuVdeviceAlloc { ViommuId = w.Guest.Viommu, DevId = w.Context.MockDomain(w.Guest.Ioas).OutIdevId, VirtId = 0x99 })) { Value = 0x99, Id = 9 },

        new("VEVENTQ_ALLOC with flags and a reserved field", Errno.EOPNOTSUPP, UnsupportedFlags, "the flags 0x1 are not supported", w => Veventq(w, new() { Flags = 1, Reserved = 6 })) { Value = 1 },
        new("VEVENTQ_ALLOC with a reserved field", Errno.EOPNOTSUPP, ReservedNotZero, "a reserved field is 0x6, it must be 0", w => Veventq(w, new() { Reserved = 6 })) { Value = 6 },
        new("VEVENTQ_ALLOC without depth", Errno.EINVAL, QueueWithoutDepth, "the depth of the queue is 0, it may be 1 to 524,288", w => Veventq(w, new() { Type = Events })) { Limit = 524_288 },
        new("VEVENTQ_ALLOC with too much depth", Errno.EINVAL, QueueWithoutDepth, "the depth of the queue is 524,289, it may be 1 to 524,288",
            w => Veventq(w, new() { Type = Events, VeventqDepth = 524_289 })) { Value = 524_289, Limit = 524_288 },
        new("VEVENTQ_ALLOC a second time", Errno.EEXIST, VeventqTypeTaken, "the vIOMMU already has an event queue of the kind 0xBEEFBEEF, vEVENTQ 11", w => Veventq(w, new() { Type = Events, VeventqDepth = 1 }))
            { Value = Events, Id = 11 },

        new("HW_QUEUE_ALLOC with flags", Errno.EOPNOTSUPP, UnsupportedFlags, "the flags 0x1 are not supported", w => HwQueue(w, new() { Flags = 1 })) { Value = 1 },
        new("HW_QUEUE_ALLOC of a kind that the vIOMMU has not", Errno.EOPNOTSUPP, UnsupportedKind, "the device's IOMMU has nothing of the kind 0x1", w => HwQueue(w, new() { Type = 1, Length = Page })) { Value = 1 },
        new("HW_QUEUE_ALLOC of nothing", Errno.EINVAL, EmptyRange, "the length is 0", w => HwQueue(w, new() { Type = Selftest })),
        new("HW_QUEUE_ALLOC past the last IOVA", Errno.EOVERFLOW, RangeOverflow, "0x2 bytes from IOVA 0xFFFFFFFFFFFFFFFF pass the last IOVA",
            w => HwQueue(w, new() { Type = Selftest, NestingParentIova = ulong.MaxValue, Length = 2 })) { Value = ulong.MaxValue, Limit = 2 },
        new("HW_QUEUE_ALLOC of pages that reach 2^64", Errno.ERANGE, MemoryOverflow, "0xFFFFFFFFFFFFFFFF bytes from 0x0, in whole pages, reach 2^64", w => HwQueue(w, new() { Type = Selftest, Length = ulong.MaxValue }))
            { Limit = ulong.MaxValue },
        new("HW_QUEUE_ALLOC of more pages than can be listed", Errno.ENOMEM, RequestTooLarge, "the request is 9,223,372,036,854,775,808 bytes, the limit is 1,099,511,623,680",
            w => HwQueue(w, new() { Type = Selftest, Length = 1UL << 63 })) { Value = 1UL << 63, Limit = 1_099_511_623_680 },
        new("HW_QUEUE_ALLOC past what is mapped", Errno.ENOENT, IovaNotMapped, "0x1010000 is not mapped in IOAS 3, the nearest area is [0x1000000, 0x100FFFF]",
            w => HwQueue(w, new() { Type = Selftest, Index = 1, NestingParentIova = Aperture + 0xF000, Length = 2 * Page })) { Value = Aperture + 0x10000, Id = 3, Overlap = new(Aperture, Aperture + 0xFFFF) },
        new("HW_QUEUE_ALLOC of memory with a gap", Errno.EFAULT, MemoryNotContiguous, "the memory of the queue is not contiguous at 0x1010000",
            w => HwQueue(w.With(w => w.Map(Aperture + 0x10000, ioas: w.Guest.Ioas)), new() { Type = Selftest, Index = 1, NestingParentIova = Aperture + 0xF000, Length = 2 * Page })) { Value = Aperture + 0x10000 },
        new("HW_QUEUE_ALLOC at no index", Errno.EINVAL, QueueIndexUnusable, "the vIOMMU has no HW queue with the index 2, it can have 2",
            w => HwQueue(w, new() { Type = Selftest, Index = 2, NestingParentIova = Aperture, Length = Page })) { Value = 2, Limit = 2 },
        new("HW_QUEUE_ALLOC at an index that is taken", Errno.EEXIST, QueueIndexTaken, "the vIOMMU already has a HW queue with the index 0",
            w => HwQueue(w, new() { Type = Selftest, NestingParentIova = Aperture, Length = Page })),
        new("HW_QUEUE_ALLOC before the one before it", Errno.EIO, QueueBeforeMissing, "the HW queue with the index before 1 must be there first",
            w => HwQueue(w.With(w => w.Ioctl(IommuCommand.Destroy, new IommuDestroy { Id = w.Guest.HwQueue })), new() { Type = Selftest, Index = 1, NestingParentIova = Aperture, Length = Page })) { Value = 1 },

        new("attach to a guest's page table without a vDevice", Errno.ENOENT, NoVdevice, "device 15 has no vDevice on vIOMMU 9",
            w => w.Ask(new AttachDeviceRequest(w.Context.Bind(WithGuest(w).Driver, "device"), new ObjectId(w.Guest.Nested)))) { Value = 9, Id = 15 },
        new("attach of a PASID that the device has not to a guest's page table", Errno.EINVAL, NoSuchPasid, "the device has no PASID 1, its PASIDs have 0 bits",
            w => w.Ask(new AttachDeviceRequest(w.Context.Bind(WithGuest(w).Driver, "device"), new ObjectId(w.Context.AllocateNestedForPasids(w.Guest)), 1))) { Value = 1, Id = 15 },
        new("attach to another IOMMU's nested page table", Errno.EINVAL, DeviceIncompatible, "the IOMMU of the device, or of another of its group, can't use nested HWPT 14",
            w => w.Ask(new AttachDeviceRequest(new ObjectId(Virtual(WithGuest(w))), new ObjectId(w.Guest.Nested)))) { Id = 14 },
    ];

    private static World WithGuest(World w) => w.Guest is null ? throw new InvalidOperationException() : w;

    // A device with Arm's formats: the first of a world, made once.
    private static uint Virtual(World w)
        => w.Context.Objects.After(0).OfType<IommuFd.Grains.Objects.Devices.DeviceEntry>().FirstOrDefault(device => device.Device.Iommu == DeviceDescription.VirtualIommu)?.Id.Value
            ?? w.Context.AskOk(w.Driver, new BindDeviceRequest(new DeviceDescription { Name = "device", Iommu = DeviceDescription.VirtualIommu })).Value;

    private static uint VirtualViommu(World w)
    {
        var parent = w.Context.AllocateHwpt(Virtual(w), 1, IommuHwptAllocFlags.NestParent);
        return w.Context.RunOk(IommuCommand.ViommuAlloc, new IommuViommuAlloc { Type = 1, DevId = Virtual(w), HwptId = parent }).OutViommuId;
    }

    // Selftest data of 4 bytes, and the guest's device, unless a row says otherwise.
    private static (Errno Errno, IoctlDiagnostic? Diagnostic) Nested(World w, IommuHwptAlloc cmd, byte[]? content = null, ulong? readable = null) => w.Ioctl(
        IommuCommand.HwptAlloc,
        cmd with
        {
            DevId = cmd.DevId == 0 ? w.Guest.Mock.OutIdevId : cmd.DevId,
            DataType = cmd.DataType == 0 ? (uint)IommuHwptDataType.Selftest : cmd.DataType,
            DataLen = cmd.DataLen == 0 ? 4 : cmd.DataLen,
            DataUptr = Memory,
        },
        In(content ?? new byte[4], readable));

    private static (Errno Errno, IoctlDiagnostic? Diagnostic) Invalidate(
        World w, uint id, uint length, uint count, uint type = (uint)IommuHwptInvalidateDataType.Selftest, ulong address = Memory, uint reserved = 0, byte[]? content = null) => w.Ioctl(
        IommuCommand.HwptInvalidate,
        new IommuHwptInvalidate { HwptId = id, DataUptr = address, DataType = type, EntryLen = length, EntryNum = count, Reserved = reserved },
        In(content ?? new byte[64]));

    private static (Errno Errno, IoctlDiagnostic? Diagnostic) Viommu(World w, IommuViommuAlloc cmd, UserBuffer? data = null)
        => w.Ioctl(IommuCommand.ViommuAlloc, cmd with { DevId = w.Guest.Mock.OutIdevId, DataUptr = Memory }, data);

    private static (Errno Errno, IoctlDiagnostic? Diagnostic) Veventq(World w, IommuVeventqAlloc cmd) => w.Ioctl(IommuCommand.VeventqAlloc, cmd with { ViommuId = w.Guest.Viommu });

    private static (Errno Errno, IoctlDiagnostic? Diagnostic) HwQueue(World w, IommuHwQueueAlloc cmd) => w.Ioctl(IommuCommand.HwQueueAlloc, cmd with { ViommuId = w.Guest.Viommu });

    private static uint AllocateNestedForPasids(this OpenContext context, Guest guest)
    {
        var cmd = new IommuHwptAlloc { Size = 48, Flags = (uint)IommuHwptAllocFlags.Pasid, DevId = guest.Mock.OutIdevId, PtId = guest.Viommu, DataType = 0xDEAD, DataLen = 4, DataUptr = Memory };
        return UapiStruct.Read<IommuHwptAlloc>(context.Run(TestDevices.Request(IommuCommand.HwptAlloc, cmd, In(new byte[4]))).Argument).OutHwptId;
    }
}
