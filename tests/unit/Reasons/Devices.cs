using IommuFd.GrainInterfaces;
using IommuFd.Uapi;
using IommuFd.UnitTests.Support;
using static IommuFd.GrainInterfaces.DiagnosticReason;
using static IommuFd.UnitTests.Reasons.World;

namespace IommuFd.UnitTests.Reasons;

/// <summary>Drivers' requests on devices, and the commands on devices and paging HWPTs.</summary>
internal static class Devices
{
    private static readonly UserFile PlainFile = new("file", false, 16 * Page);
    private static readonly UserFile DmaBuf = new("dma-buf", false, 16 * Page) { DmaBuf = new UserDmaBuf(DmaBufState.Mappable) };

    public static IEnumerable<Row> Rows =>
    [
        new("bind of a device without a name", Errno.EINVAL, InvalidDevice,
            "a device needs a name, a group name unless it has none, reserved regions that ascend, a PASID width of at most 20, and hardware that its IOMMU can have",
            w => w.Ask(new BindDeviceRequest(new DeviceDescription { Name = "" }))),
        new("bind behind no IOMMU", Errno.ENODEV, UnknownIommu, "no IOMMU driver has this name", w => w.Ask(new BindDeviceRequest(new DeviceDescription { Name = "device", Iommu = "nothing" }))),
        new("a request by no driver", Errno.EBADF, ReferenceNotFound, "the context has no such reference, or one of another kind", w => w.Ask(new CreateAccessRequest(true), new ReferenceId(99))),
        new("a request of a later version", Errno.EOPNOTSUPP, UnsupportedRequest, "this version does not know the request", w => w.Ask(new LaterRequest())),
        new("attach of another driver's device", Errno.ENOENT, ObjectOfOtherDriver, "device 3 was made by another driver, which alone can use it",
            w => w.Ask(new AttachDeviceRequest(Bind(w), new ObjectId(1)), w.Context.Driver("other"))) { Id = 3 },
        new("attach of an IOAS", Errno.ENOENT, ObjectOfOtherType, "object 2 is an IOAS, the command needs another kind", w => w.Ask(new AttachDeviceRequest(new ObjectId(2), new ObjectId(1)))) { Id = 2 },
        new("a hold without a reason", Errno.EINVAL, InvalidName, "a name must have 1 to 128 characters, and a kind or mode must be one that the interface defines",
            w => w.Ask(new HoldObjectRequest(new ObjectId(1), ObjectType.Any, ""))),
        new("a hold of a device", Errno.EINVAL, LeafObject, "device 3 belongs to the driver that made it, no other can hold it", w => w.Ask(new HoldObjectRequest(Bind(w), ObjectType.Any, "why"))) { Id = 3 },
        new("a drop of another driver's hold", Errno.ENOENT, HoldNotFound, "the driver has no hold 3", w => w.Ask(new DropHoldRequest(w.Context.Hold(w.Driver, new ObjectId(1))), w.Context.Driver("other"))) { Value = 3 },

        new("attach of an attached device", Errno.EBUSY, DeviceAttached, "device 3 is already attached", w => Attach(w.With(w => Attach(w, Bind(w), 1)), new ObjectId(3), 1)) { Id = 3 },
        new("attach of an attached PASID", Errno.EBUSY, DeviceAttached, "PASID 5 of device 3 is already attached", w =>
        {
            var (device, hwpt) = WithPasids(w);
            return Attach(w.With(w => Attach(w, device, hwpt, 5)), device, hwpt, 5);
        }) { Value = 5, Id = 3 },
        new("detach of a device that is not attached", Errno.EINVAL, DeviceNotAttached, "device 3 is not attached", w => w.Ask(new DetachDeviceRequest(Bind(w)))) { Id = 3 },
        new("replace of a PASID that is not attached", Errno.EINVAL, DeviceNotAttached, "PASID 6 of device 3 is not attached", w =>
        {
            var (device, hwpt) = WithPasids(w);
            return w.Ask(new ReplaceDeviceRequest(device, new ObjectId(hwpt), 6));
        }) { Value = 6, Id = 3 },
        new("attach of a group's second device elsewhere", Errno.EINVAL, GroupAttachedElsewhere, "the IOMMU group is attached to HWPT 5",
            w =>
            {
                var (first, second) = (Bind(w, group: "group"), Bind(w, group: "group"));
                return Attach(w.With(w => Attach(w, first, 1)), second, w.Context.AllocateHwpt(second.Value, 1));
            }) { Id = 5 },
        new("attach to a device", Errno.EINVAL, NotAPageTable, "device 4 is not a page table, only an IOAS or a HWPT is", w => Attach(w, Bind(w), Bind(w).Value)) { Id = 4 },
        new("attach to a HWPT that tracks dirty pages", Errno.EINVAL, DeviceIncompatible, "the IOMMU of the device, or of another of its group, can't use HWPT 5", w =>
        {
            var (tracking, plain) = (Bind(w), Bind(w, tracksDirty: false));
            return Attach(w, plain, w.Context.AllocateHwpt(tracking.Value, 1, IommuHwptAllocFlags.DirtyTracking));
        }) { Id = 5 },
        new("attach of a PASID that the device has not", Errno.EINVAL, NoSuchPasid, "the device has no PASID 16, its PASIDs have 4 bits", w =>
        {
            var (device, hwpt) = WithPasids(w);
            return Attach(w, device, hwpt, 16);
        }) { Value = 16, Limit = 4, Id = 1 },
        new("attach of a PASID to a HWPT that is not for PASIDs", Errno.EINVAL, PasidIncompatible, "attaching a PASID, or a device beside PASIDs, needs a HWPT allocated for PASIDs, which HWPT 5 is not", w =>
        {
            var (device, _) = WithPasids(w);
            return Attach(w, device, w.Context.AllocateHwpt(device.Value, 1), 5);
        }) { Id = 5 },
        new("attach of a PASID to an IOAS", Errno.EINVAL, PasidIncompatible, "attaching a PASID, or a device beside PASIDs, needs a HWPT allocated for PASIDs, which IOAS 1 is not",
            w => Attach(w, WithPasids(w).Device, 1, 5)) { Id = 1 },
        new("attach of a PASID beside a device on a HWPT that is not for PASIDs", Errno.EINVAL, PasidIncompatible,
            "attaching a PASID, or a device beside PASIDs, needs a HWPT allocated for PASIDs, which HWPT 5 is not", w =>
        {
            var (device, hwpt) = WithPasids(w);
            return Attach(w.With(w => Attach(w, device, w.Context.AllocateHwpt(device.Value, 1))), device, hwpt, 5);
        }) { Id = 5 },
        new("attach of a device whose region is mapped", Errno.EADDRINUSE, AreaInTheWay, "[0x5000000, 0x5001FFF] is not free, [0x5001000, 0x5001FFF] is mapped",
            w => Attach(w.With(w => w.Map(0x500_1000)), Bind(w, reserved: new IovaRange(0x500_0000, 0x500_1FFF)), 1)) { Value = 0x500_0000, Limit = 0x500_1FFF, Id = 1, Overlap = new(0x500_1000, 0x500_1FFF) },
        new("attach to an IOAS with an area outside the aperture", Errno.EADDRINUSE, OutsideAperture, "[0x5000, 0x5FFF] is mapped, but the aperture of the page table is [0x1000000, 0x7FFFFFFF]",
            w => Attach(w.With(w => w.Map(0x5000)), Bind(w), 1)) { Value = Aperture, Limit = TestDevices.ApertureLast, Id = 1, Overlap = new(0x5000, 0x5FFF) },
        new("attach to an IOAS that allows IOVAs outside the aperture", Errno.EADDRINUSE, AllowedOutsideAperture,
            "automatic IOVAs are allowed in [0x7FFFF000, 0x80000FFF], but the aperture of the page table is [0x1000000, 0x7FFFFFFF]",
            w => Attach(w.With(w => w.Allow(new IovaRange(0x7FFF_F000, 0x8000_0FFF))), Bind(w), 1)) { Value = Aperture, Limit = TestDevices.ApertureLast, Id = 1, Overlap = new(0x7FFF_F000, 0x8000_0FFF) },
        new("attach to an IOAS with an area that is misaligned, and outside the aperture", Errno.EADDRINUSE, AreasMisaligned, "[0x5001, 0x6000] or its memory is not aligned to 2,048 bytes",
            w => Attach(w.With(w => w.Map(0x5001)), Bind(w), 1)) { Limit = 2048, Id = 1, Overlap = new(0x5001, 0x6000) },
        new("attach to an IOAS with a device's BAR", Errno.EFAULT, MemoryNotPinnable, "not all of the 0x2000 bytes of memory at 0xFD000000, mapped at [0x1001000, 0x1002FFF], can be pinned",
            w => Attach(w.With(w => w.Map(Aperture)).With(w => w.Map(Aperture + Page, 2 * Page, 0xFD00_0000, isThere: false)), Bind(w), 1))
            { Value = 0xFD00_0000, Limit = 2 * Page, Id = 1, Overlap = new(Aperture + Page, Aperture + 0x2FFF) },
        new("attach to an IOAS with a file that is no memfd", Errno.EINVAL, FileNotPinnable, "not all of the 0x1000 bytes of the file at offset 0x2000, mapped at [0x1000000, 0x1000FFF], can be pinned",
            w => Attach(w.With(w => w.MapFile(PlainFile, Aperture, start: 0x2000)), Bind(w), 1)) { Value = 0x2000, Limit = Page, Id = 1, Overlap = new(Aperture, Aperture + 0xFFF) },

        new("DMA of no range", Errno.EINVAL, InvalidDmaRanges, "an access has 1 to 64 ranges, none of them empty, and this one has 0", w => w.Ask(new TranslateRequest(Bind(w), [], false))) { Limit = 64 },
        new("DMA that is too long", Errno.ENOMEM, RequestTooLarge, "the request is 16,777,217 bytes, the limit is 16,777,216",
            w => w.Ask(new TranslateRequest(Bind(w), [new(0, IoctlLimits.MaxAccessBytes), new(0, 1)], false))) { Value = IoctlLimits.MaxAccessBytes + 1, Limit = IoctlLimits.MaxAccessBytes },
        new("DMA of a device that is not attached", Errno.EINVAL, DeviceNotAttached, "device 3 is not attached", w => w.Ask(new TranslateRequest(Bind(w), [new(Aperture, 1)], false))) { Id = 3 },
        new("DMA to what is not mapped", Errno.ENOENT, IovaNotMapped, "0x1001000 is not mapped in IOAS 1, the nearest area is [0x1000000, 0x1000FFF]",
            w => w.Ask(new TranslateRequest(Attached(w.With(w => w.Map(Aperture))), [new(Aperture, Page + 1)], false))) { Value = Aperture + Page, Id = 1, Overlap = new(Aperture, Aperture + 0xFFF) },
        new("DMA to a dma-buf that was revoked", Errno.ENOENT, DmaBufRevoked, "0x1001000 is in [0x1001000, 0x1001FFF], which maps a dma-buf that was revoked",
            w => w.With(w => w.Map(Aperture)).With(w => w.MapFile(DmaBuf, Aperture + Page)).With(w => w.Ask(new RevokeDmaBufRequest("dma-buf"))).Ask(new TranslateRequest(Attached(w), [new(Aperture, Page + 1)], false)))
            { Value = Aperture + Page, Id = 1, Overlap = new(Aperture + Page, Aperture + 0x1FFF) },
        new("DMA to memory that is gone", Errno.EFAULT, MemoryGone, "0x1000000 is mapped, but the memory behind it is gone: its program has unmapped it, or has ended",
            w => w.Ask(new TranslateRequest(Attached(w.With(w => w.Map(Aperture))), [new(Aperture, 8)], true, IsMemoryGone: true))) { Value = Aperture, Id = 1 },
        new("the response to a page fault that was not reported", Errno.ENOENT, NoFaultResponse, "the page fault of group 7 of device 3 has no response",
            w => w.Ask(new TakeFaultResponseRequest(Attached(w), 7))) { Value = 7, Id = 3 },
        new("DMA by a guest's page table", Errno.EOPNOTSUPP, GuestTranslation, "HWPT 5 is a guest's page table, whose entries are not walked", w =>
        {
            var device = Bind(w);
            var nested = w.Context.AllocateNested(device.Value, w.Context.AllocateHwpt(device.Value, 1, IommuHwptAllocFlags.NestParent));
            return w.With(w => Attach(w, device, nested)).Ask(new TranslateRequest(device, [new(Aperture, 1)], false));
        }) { Id = 5 },

        new("HWPT_ALLOC with a reserved field", Errno.EOPNOTSUPP, ReservedNotZero, "a reserved field is 0x8, it must be 0", w => Allocate(w, new IommuHwptAlloc { Reserved = 8 })) { Value = 8 },
        new("HWPT_ALLOC with data without a length", Errno.EINVAL, InvalidDataLength, "data_type is 0xDEAD and data_len is 0, either both or neither must be 0",
            w => Allocate(w, new IommuHwptAlloc { DataType = 0xDEAD })) { Value = 0xDEAD },
        new("HWPT_ALLOC for no device", Errno.ENOENT, ObjectNotFound, "no object has the id 77", w => w.Ioctl(IommuCommand.HwptAlloc, new IommuHwptAlloc { DevId = Missing, PtId = 1 })) { Id = Missing },
        new("HWPT_ALLOC on nothing", Errno.EINVAL, ObjectNotFound, "no object has the id 77", w => Allocate(w, new IommuHwptAlloc { PtId = Missing })) { Id = Missing },
        new("HWPT_ALLOC on a device", Errno.EINVAL, CannotAllocateOn, "no HWPT can be allocated on device 3, only on an IOAS, a paging HWPT or a vIOMMU", w => Allocate(w, new IommuHwptAlloc { PtId = 3 })) { Id = 3 },
        new("HWPT_ALLOC with an unknown flag", Errno.EOPNOTSUPP, UnsupportedFlags, "the flags 0x10 are not supported", w => Allocate(w, new IommuHwptAlloc { PtId = 1, Flags = 0x12 })) { Value = 0x10 },
        new("HWPT_ALLOC that tracks dirty pages behind an IOMMU that can't", Errno.EOPNOTSUPP, IommuLacksFeature, "the device's IOMMU has no page table with the flags 0x2",
            w => w.Ioctl(IommuCommand.HwptAlloc, new IommuHwptAlloc { DevId = Bind(w, tracksDirty: false).Value, PtId = 1, Flags = 0xA })) { Value = 2 },
        new("HWPT_ALLOC of a nest parent that has faults", Errno.EOPNOTSUPP, ConflictingFlags, "the flags 0x5 exclude each other", w => Allocate(w, new IommuHwptAlloc { PtId = 1, Flags = 7 })) { Value = 5 },
        new("HWPT_ALLOC of a nest parent by an IOMMU that has none", Errno.EOPNOTSUPP, IommuLacksFeature, "the device's IOMMU has no page table with the flags 0x1",
            w => w.Ioctl(IommuCommand.HwptAlloc, new IommuHwptAlloc { DevId = Bind(w, iommu: DeviceDescription.PciIommu).Value, PtId = 1, Flags = 1 })) { Value = 1, Id = 1 },
        new("HWPT_ALLOC with data of another IOMMU", Errno.EOPNOTSUPP, UnsupportedData, "the device's IOMMU does not take this data, of the type 0x2",
            w => Allocate(w, new IommuHwptAlloc { PtId = 1, DataType = 2, DataLen = 8, DataUptr = Memory }, In(new byte[8]))) { Value = 2, Limit = 8, Id = 1 },
        new("HWPT_ALLOC with short data", Errno.EINVAL, WrongDataLength, "data of the type 0xDEAD does not have 2 bytes",
            w => Allocate(w, new IommuHwptAlloc { PtId = 1, DataType = 0xDEAD, DataLen = 2, DataUptr = Memory }, In(new byte[2]))) { Value = 0xDEAD, Limit = 2, Id = 1 },
        new("HWPT_ALLOC with data that can't be read", Errno.EFAULT, BufferFault, "only 3 of 8 bytes of the buffer can be accessed",
            w => Allocate(w, new IommuHwptAlloc { PtId = 1, DataType = 0xDEAD, DataLen = 8, DataUptr = Memory }, In(new byte[8], 3))) { Value = 3, Limit = 8, Id = 1 },
        new("HWPT_ALLOC without its fault queue", Errno.ENOENT, ObjectNotFound, "no object has the id 77", w => Allocate(w, new IommuHwptAlloc { PtId = 1, Flags = 4, FaultId = Missing })) { Id = Missing },

        new("GET_HW_INFO with an unknown flag", Errno.EOPNOTSUPP, UnsupportedFlags, "the flags 0x2 are not supported", w => w.Ioctl(IommuCommand.GetHwInfo, new IommuHwInfo { Flags = 3 })) { Value = 2 },
        new("GET_HW_INFO with reserved fields", Errno.EOPNOTSUPP, ReservedNotZero, "a reserved field is 0x5, it must be 0",
            w => w.Ioctl(IommuCommand.GetHwInfo, new IommuHwInfo { Reserved1 = 5, Reserved2 = 2 })) { Value = 5 },
        new("GET_HW_INFO of another kind", Errno.EOPNOTSUPP, UnsupportedKind, "the device's IOMMU has nothing of the kind 0x3",
            w => w.Ioctl(IommuCommand.GetHwInfo, new IommuHwInfo { DevId = Bind(w).Value, Flags = 1, OutDataType = 3 })) { Value = 3, Id = 3 },
        new("GET_HW_INFO that can't be written", Errno.EFAULT, BufferFault, "only 3 of 8 bytes of the buffer can be accessed",
            w => w.Ioctl(IommuCommand.GetHwInfo, new IommuHwInfo { DevId = Bind(w).Value, DataLen = 8, DataUptr = Memory }, In(new byte[8], 3))) { Value = 3, Limit = 8 },

        new("SET_DIRTY_TRACKING with an unknown flag", Errno.EOPNOTSUPP, UnsupportedFlags, "the flags 0x4 are not supported",
            w => w.Ioctl(IommuCommand.HwptSetDirtyTracking, new IommuHwptSetDirtyTracking { Flags = 5 })) { Value = 4 },
        new("SET_DIRTY_TRACKING of a HWPT that can't", Errno.EOPNOTSUPP, DirtyTrackingUnsupported, "HWPT 4 was allocated without dirty tracking",
            w => w.Ioctl(IommuCommand.HwptSetDirtyTracking, new IommuHwptSetDirtyTracking { HwptId = w.Context.AllocateHwpt(Bind(w).Value, 1), Flags = 1 })) { Id = 4 },
        new("GET_DIRTY_BITMAP with an unknown flag", Errno.EOPNOTSUPP, UnsupportedFlags, "the flags 0x8 are not supported",
            w => w.Ioctl(IommuCommand.HwptGetDirtyBitmap, new IommuHwptGetDirtyBitmap { Flags = 9 })) { Value = 8 },
        new("GET_DIRTY_BITMAP with a reserved field", Errno.EOPNOTSUPP, ReservedNotZero, "a reserved field is 0x9, it must be 0",
            w => w.Ioctl(IommuCommand.HwptGetDirtyBitmap, new IommuHwptGetDirtyBitmap { Reserved = 9 })) { Value = 9 },
        new("GET_DIRTY_BITMAP of nothing", Errno.EOVERFLOW, EmptyRange, "the length is 0", w => Dirty(w, Aperture, 0, Page)) { Id = 1 },
        new("GET_DIRTY_BITMAP past the last IOVA", Errno.EOVERFLOW, RangeOverflow, "0x2000 bytes from IOVA 0xFFFFFFFFFFFFF000 pass the last IOVA", w => Dirty(w, LastPage, 2 * Page, Page))
            { Value = LastPage, Limit = 2 * Page, Id = 1 },
        new("GET_DIRTY_BITMAP within a page of the IOMMU", Errno.EINVAL, Misaligned, "the IOVA 0x1000400 is not aligned to 2,048 bytes", w => Dirty(w, Aperture + 0x400, Page, Page))
            { Value = Aperture + 0x400, Limit = 2048, Id = 1 },
        new("GET_DIRTY_BITMAP of a part of a page", Errno.EINVAL, MisalignedLength, "the length 0x400 is not aligned to 2,048 bytes", w => Dirty(w, Aperture, 0x400, Page)) { Value = 0x400, Limit = 2048, Id = 1 },
        new("GET_DIRTY_BITMAP of a part of the bitmap's page", Errno.EINVAL, MisalignedLength, "the length 0x800 is not aligned to 4,096 bytes", w => Dirty(w, Aperture, 0x800, Page))
            { Value = 0x800, Limit = Page, Id = 1 },
        new("GET_DIRTY_BITMAP of pages of 0 bytes", Errno.EINVAL, InvalidPageSize, "the page size is 0x0, it must be a power of two", w => Dirty(w, Aperture, Page, 0)) { Id = 1 },
        new("GET_DIRTY_BITMAP of more than travels", Errno.ENOMEM, BitmapTooLarge, "the part of the bitmap of 0x1000000 bytes that is not zero is larger than 1,048,576 bytes, which is the limit", w =>
        {
            var hwpt = w.With(w => w.Map(Aperture, 16 << 20)).Context.AllocateHwpt(Bind(w).Value, 1, IommuHwptAllocFlags.DirtyTracking);
            w.With(w => w.Ioctl(IommuCommand.HwptSetDirtyTracking, new IommuHwptSetDirtyTracking { HwptId = hwpt, Flags = 1 }));
            w.Context.MarkDirty(hwpt, Aperture, 16 << 20, 2048, [.. Enumerable.Repeat((byte)0xFF, 1024)]);
            return w.Ioctl(IommuCommand.HwptGetDirtyBitmap, new IommuHwptGetDirtyBitmap { HwptId = hwpt, Iova = Aperture, Length = 16 << 20, PageSize = 1, Data = Memory });
        }) { Value = 16 << 20, Limit = 1 << 20, Id = 1 },
    ];

    private static ObjectId Bind(World w, string? group = null, bool tracksDirty = true, int pasidWidth = 0, string iommu = DeviceDescription.SelftestIommu, params IovaRange[] reserved)
        => w.Context.AskOk(
            w.Driver,
            new BindDeviceRequest(new DeviceDescription { Name = "device", Iommu = iommu, Group = group, TracksDirtyPages = tracksDirty, PasidWidth = pasidWidth, ReservedRegions = reserved }));

    // Device 3 with PASIDs of 4 bits, and HWPT 4 for PASIDs.
    private static (ObjectId Device, uint Hwpt) WithPasids(World w)
    {
        var device = Bind(w, pasidWidth: 4);
        return (device, w.Context.AllocateHwpt(device.Value, 1, IommuHwptAllocFlags.Pasid));
    }

    // Device 3, attached to IOAS 1.
    private static ObjectId Attached(World w)
    {
        var device = Bind(w);
        w.With(w => Attach(w, device, 1));
        return device;
    }

    private static (Errno Errno, IoctlDiagnostic? Diagnostic) Attach(World w, ObjectId device, uint pageTable, uint pasid = 0)
        => w.Ask(new AttachDeviceRequest(device, new ObjectId(pageTable), pasid));

    private static (Errno Errno, IoctlDiagnostic? Diagnostic) Allocate(World w, IommuHwptAlloc cmd, UserBuffer? data = null)
        => w.Ioctl(IommuCommand.HwptAlloc, cmd with { DevId = Bind(w).Value }, data);

    private static (Errno Errno, IoctlDiagnostic? Diagnostic) Dirty(World w, ulong iova, ulong length, ulong pageSize)
    {
        var hwpt = w.Context.AllocateHwpt(Bind(w).Value, 1, IommuHwptAllocFlags.DirtyTracking);
        return w.Ioctl(IommuCommand.HwptGetDirtyBitmap, new IommuHwptGetDirtyBitmap { HwptId = hwpt, Iova = iova, Length = length, PageSize = pageSize, Data = Memory });
    }

    private sealed record LaterRequest : DriverRequest;
}
