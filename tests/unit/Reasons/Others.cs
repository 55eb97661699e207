using IommuFd.GrainInterfaces;
using IommuFd.Uapi;
using IommuFd.UnitTests.Support;
using static IommuFd.GrainInterfaces.DiagnosticReason;
using static IommuFd.UnitTests.Reasons.World;

namespace IommuFd.UnitTests.Reasons;

/// <summary>What every command checks first, the commands of the context itself, files, and what drivers report.</summary>
internal static class Others
{
    public static IEnumerable<Row> Rows =>
    [
        new("a number outside the table", Errno.ENOTTY, UnknownNumber, "0x3BA1 is not an iommufd ioctl", w => w.Send(new IoctlRequest { Command = 0x3BA1 })) { Value = 0x3BA1 },
        new("a number without a command", Errno.ENOTTY, UnknownCommand, "no iommufd command has the ioctl number 0x3B95", w => w.Send(new IoctlRequest { Command = 0x3B95, Argument = new byte[4] })) { Value = 0x3B95 },
        new("a size that can't be read", Errno.EFAULT, ArgumentUnreadable, "only 3 of 4 bytes of the argument can be read",
            w => w.Send(new IoctlRequest { Command = (uint)IommuCommand.Destroy, Argument = new byte[3] })) { Value = 3, Limit = 4 },
        new("an argument that can't be read", Errno.EFAULT, ArgumentUnreadable, "only 4 of 8 bytes of the argument can be read",
            w => w.Send(new IoctlRequest { Command = (uint)IommuCommand.Destroy, Argument = [8, 0, 0, 0], Tail = ArgumentTail.Faulted })) { Value = 4, Limit = 8 },
        new("an argument that is too short", Errno.EINVAL, ArgumentTooShort, "size is 7, the command needs at least 8",
            w => w.Send(new IoctlRequest { Command = (uint)IommuCommand.Destroy, Argument = [7, 0, 0, 0, 1, 0, 0, 0] })) { Value = 7, Limit = 8 },
        new("an argument of a later version", Errno.E2BIG, UnknownBytesNotZero, "size is 9, and a byte beyond the 8 known ones is not zero",
            w => w.Send(new IoctlRequest { Command = (uint)IommuCommand.Destroy, Argument = [9, 0, 0, 0, 1, 0, 0, 0, 1] })) { Value = 9, Limit = 8 },
        new("an argument that is larger than travels", Errno.E2BIG, RequestTooLarge, "the request is 4,097 bytes, the limit is 4,096",
            w => w.Send(new IoctlRequest { Command = (uint)IommuCommand.Destroy, Argument = [.. BitConverter.GetBytes(4097), .. new byte[4093]] })) { Value = 4_097, Limit = 4_096 },

        new("IOAS_ALLOC with flags", Errno.EOPNOTSUPP, UnsupportedFlags, "the flags 0x2 are not supported", w => w.Ioctl(IommuCommand.IoasAlloc, new IommuIoasAlloc { Flags = 2 })) { Value = 2 },
        new("IOAS_ALLOC of one object too many", Errno.ENOMEM, TooManyObjects, "the context already has 2 objects, which is the limit", w =>
        {
            w.Context.Objects.MaxObjects = 2;
            return w.Ioctl(IommuCommand.IoasAlloc, default(IommuIoasAlloc));
        }) { Limit = 2 },
        new("IOAS_ALLOC that is to fail where it takes an id", Errno.ENOMEM, FaultInjected, "failure point 2 of the ioctl was made to fail, as asked", w =>
        {
            w.Fault = new FaultInjection(2, Errno.ENOMEM);
            return w.Ioctl(IommuCommand.IoasAlloc, default(IommuIoasAlloc));
        }) { Value = 2 },
        new("IOAS_ALLOC without a free id", Errno.EBUSY, NoFreeId, "every object id of the context is taken", w =>
        {
            Exhaustion.Exhaust(w.Context.Objects);
            return w.Ioctl(IommuCommand.IoasAlloc, default(IommuIoasAlloc));
        }),
        new("DESTROY of what is held", Errno.EBUSY, ObjectHeld, "IOAS 1 is held by driver 'driver: why'", w =>
        {
            w.Context.Hold(w.Driver, new ObjectId(1), "why");
            return w.Ioctl(IommuCommand.Destroy, new IommuDestroy { Id = 1 });
        }) { Id = 1 },
        new("DESTROY of what its grain says is held", Errno.EIO, UsersDisagree, "a bug of the service: IOAS 3 has users 1 in its context's table and 4 in its grain, so it was not destroyed", w =>
        {
            var entry = w.Context.Objects.Find(w.Guest.Ioas)!;
            while (entry.FirstHolder is { } hold)
            {
                hold.Drop();
            }

            return w.Ioctl(IommuCommand.Destroy, new IommuDestroy { Id = w.Guest.Ioas });
        }) { Value = 4, Limit = 1, Id = 3 },
        new("VFIO_IOAS with a reserved field", Errno.EOPNOTSUPP, ReservedNotZero, "a reserved field is 0x3, it must be 0", w => w.Ioctl(IommuCommand.VfioIoas, new IommuVfioIoas { Reserved = 3 })) { Value = 3 },
        new("VFIO_IOAS by an unknown op", Errno.EOPNOTSUPP, UnsupportedOp, "op 9 is not supported", w => w.Ioctl(IommuCommand.VfioIoas, new IommuVfioIoas { Op = 9 })) { Value = 9 },
        new("SET_IOMMU to a kind that VFIO has elsewhere", Errno.EINVAL, UnknownIommuType, "8 is no kind of IOMMU that VFIO knows here: type1 is 1, type1v2 is 3",
            w => w.Send(new IoctlRequest { Command = (uint)VfioCommand.SetIommu, Argument = BitConverter.GetBytes(8UL) })) { Value = 8 },
        new("a page table of what VFIO has mapped without access", Errno.EINVAL, AreaWithoutAccess, "DMA may neither read nor write [0x1000000, 0x1000FFF], and no page table can map that", w => w
            .With(w => w.Ioctl(IommuCommand.VfioIoas, new IommuVfioIoas { IoasId = 1, Op = (ushort)IommuVfioIoasOp.Set }))
            .With(w => w.Send(new IoctlRequest
            {
                Command = (uint)VfioCommand.IommuMapDma,
                Argument = UapiStruct.ToBytes(new VfioIommuType1DmaMap { Argsz = 32, Vaddr = Memory, Iova = Aperture, Size = Page }),
                Buffers = [new UserBuffer { Address = Memory, Length = Page, ReadableBytes = Page, WritableBytes = Page }],
            }))
            .Test(IommuTestOp.MockDomain, 1, default(IommuTestMockDomain))) { Id = 1, Overlap = new(Aperture, Aperture + Page - 1) },
        new("VFIO_IOAS where none is set", Errno.ENODEV, NoCompatIoas, "no compatibility IOAS is set", w => w.Ioctl(IommuCommand.VfioIoas, new IommuVfioIoas { Op = (ushort)IommuVfioIoasOp.Get })),

        new("a read of a file that leads nowhere", Errno.EBADF, FileLeadsNowhere, "the file was closed, or leads to no object of an open context",
            w => w.File(new FileTarget(w.Context.Key, new ReferenceId(99), ObjectType.FaultQueue, new ObjectId(1)), new ReadFileRequest(40, 40))),
        new("a read of a part of a page fault", Errno.ESPIPE, PartialRecord, "39 bytes are not a multiple of 40, the length of a record", w => w.File(Faults(w), new ReadFileRequest(39, 39)))
            { Value = 39, Limit = 40, Id = 8 },
        new("a write of a part of a response", Errno.ESPIPE, PartialRecord, "9 bytes are not a multiple of 8, the length of a record", w => w.File(Faults(w), new WriteFileRequest(9, new byte[9])))
            { Value = 9, Limit = 8, Id = 8 },
        new("a read of a page fault that can't be written", Errno.EFAULT, BufferFault, "only 39 of 40 bytes of the buffer can be accessed", w =>
        {
            var guest = Selftests.Attached(w);
            w.With(w => w.Test(IommuTestOp.TriggerIopf, 0, new IommuTestTriggerIopf { DevId = guest.Mock.OutIdevId }));
            return w.File(Faults(w), new ReadFileRequest(80, 39));
        }) { Value = 39, Limit = 40, Id = 8 },
        new("a write of a response that can't be read", Errno.EFAULT, BufferFault, "only 7 of 8 bytes of the buffer can be accessed", w => w.File(Faults(w), new WriteFileRequest(8, new byte[7])))
            { Value = 7, Limit = 8, Id = 8 },
        new("a write of an unknown response", Errno.EINVAL, InvalidResponseCode, "2 is not a response code, only 0 and 1 are",
            w => w.File(Faults(w), new WriteFileRequest(8, Bytes(new IommuHwptPageResponse { Cookie = 5, Code = 2 })))) { Value = 2, Id = 8 },
        new("a write of a response to nothing", Errno.EINVAL, CookieNotFound, "no group of page faults waits for a response with the cookie 5",
            w => w.File(Faults(w), new WriteFileRequest(8, Bytes(new IommuHwptPageResponse { Cookie = 5 })))) { Value = 5, Id = 8 },
        new("a write to an event queue", Errno.EINVAL, FileOperationUnsupported, "the file of vEVENTQ 11 does not take this operation",
            w => w.File(w.FileOf(w.Guest.Veventq), new WriteFileRequest(8, new byte[8]))) { Id = 11 },

        new("a report of no page fault", Errno.EINVAL, InvalidFaultGroup, "a group has 1 to 512 page faults, all with one PASID and one group number",
            w => w.Ask(new ReportFaultsRequest(w.Context.Bind(w.Driver, "device"), []))) { Limit = 512 },
        new("a report of half an event", Errno.EINVAL, InvalidEvent, "16 bytes are no event of the IOMMU in front of device 3", w =>
        {
            var device = w.Context.AskOk(w.Driver, new BindDeviceRequest(new DeviceDescription { Name = "device", Iommu = DeviceDescription.VirtualIommu }));
            var parent = w.Context.AllocateHwpt(device.Value, 1, IommuHwptAllocFlags.NestParent);
            var viommu = w.Context.RunOk(IommuCommand.ViommuAlloc, new IommuViommuAlloc { Type = 1, DevId = device.Value, HwptId = parent }).OutViommuId;
            w.Context.RunOk(IommuCommand.VdeviceAlloc, new IommuVdeviceAlloc { ViommuId = viommu, DevId = device.Value, VirtId = 9 });
            var nested = new IommuHwptAlloc { DevId = device.Value, PtId = viommu, DataType = 2, DataLen = 16, DataUptr = Memory };
            w.With(w => w.Ioctl(IommuCommand.HwptAlloc, nested, In(new byte[16]))).With(w => w.Ask(new AttachDeviceRequest(device, new ObjectId(7))));
            return w.Ask(new ReportEventRequest(device, new byte[16]));
        }) { Value = 16, Id = 3 },
        new("a report to a queue that can't keep more", Errno.ENOMEM, QueueFull, "vEVENTQ 6 already has 65,536 entries, which is the limit", w =>
        {
            var guest = Selftests.Attached(w);
            w.Destroy(guest.Veventq);
            w.With(w => w.Ioctl(IommuCommand.VeventqAlloc, new IommuVeventqAlloc { ViommuId = guest.Viommu, Type = (uint)IommuVeventqType.Selftest, VeventqDepth = IoctlLimits.MaxQueued + 1 }));
            for (var reported = 0; reported < IoctlLimits.MaxQueued; reported++)
            {
                w.With(w => w.Test(IommuTestOp.TriggerVevent, 0, new IommuTestTriggerVevent { DevId = guest.Mock.OutIdevId }));
            }

            return w.Test(IommuTestOp.TriggerVevent, 0, new IommuTestTriggerVevent { DevId = guest.Mock.OutIdevId });
        }) { Limit = IoctlLimits.MaxQueued, Id = 6 },
    ];

    private static FileTarget Faults(World w) => w.FileOf(w.Guest.FaultQueue);
}
