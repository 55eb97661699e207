using IommuFd.GrainInterfaces;
using IommuFd.Uapi;
using IommuFd.UnitTests.Support;
using static IommuFd.GrainInterfaces.DiagnosticReason;
using static IommuFd.UnitTests.Reasons.World;

namespace IommuFd.UnitTests.Reasons;

/// <summary>IOMMU_TEST_CMD, and drivers' requests on accesses.</summary>
internal static class Selftests
{
    private const uint ReadOnly = (uint)IommuIoasMapFlags.Readable;
    private static readonly UserFile PlainFile = new("file", false, 16 * Page);
    private static readonly UserFile DmaBuf = new("dma-buf", false, 16 * Page) { DmaBuf = new UserDmaBuf(DmaBufState.Mappable) };

    public static IEnumerable<Row> Rows =>
    [
        new("an unknown op", Errno.EOPNOTSUPP, UnsupportedOp, "op 99 is not supported", w => w.Test((IommuTestOp)99, 1, default(IommuTestCheckRefs))) { Value = 99 },
        new("a device with an unknown flag", Errno.EINVAL, UnsupportedFlags, "the flags 0x2 are not supported", w => w.Test(IommuTestOp.MockDomainFlags, 1, new IommuTestMockDomain { DevFlags = 3 })) { Value = 2 },
        new("a memory limit that is too low", Errno.EINVAL, InvalidOptionValue, "the option can't be set to 5, the least is 12", w => w.Test(IommuTestOp.SetTempMemoryLimit, 0, new IommuTestMemoryLimit { Limit = 5 }))
            { Value = 5, Limit = 12 },

        new("MD_CHECK_MAP within a page", Errno.EINVAL, Misaligned, "the IOVA 0x1000400 is not aligned to 2,048 bytes", w => CheckMap(w, Aperture + 0x400, Page, Memory)) { Value = Aperture + 0x400, Limit = 2048, Id = 3 },
        new("MD_CHECK_MAP of a part of a page", Errno.EINVAL, MisalignedLength, "the length 0x400 is not aligned to 2,048 bytes", w => CheckMap(w, Aperture, 0x400, Memory)) { Value = 0x400, Limit = 2048, Id = 3 },
        new("MD_CHECK_MAP of memory within a page", Errno.EINVAL, MisalignedMemory, "the address or offset 0x10400 of the memory is not aligned to 2,048 bytes",
            w => CheckMap(w, Aperture, Page, Memory + 0x400)) { Value = Memory + 0x400, Limit = 2048, Id = 3 },
        new("MD_CHECK_MAP of memory that reaches 2^64", Errno.EINVAL, MemoryOverflow, "0x1000 bytes from 0xFFFFFFFFFFFFF000, in whole pages, reach 2^64", w => CheckMap(w, Aperture, Page, LastPage))
            { Value = LastPage, Limit = Page, Id = 3 },
        new("MD_CHECK_MAP of other memory behind the second page", Errno.EINVAL, UnexpectedPages, "the memory behind 0x1011000 is not the expected memory", w => CheckMap(
            w.With(w => w.Map(Aperture + 0x10000, ioas: w.Guest.Ioas)).With(w => w.Map(Aperture + 0x11000, address: Memory + 0x5000, ioas: w.Guest.Ioas)), Aperture + 0x10000, 2 * Page, Memory))
            { Value = Aperture + 0x11000, Id = 3 },
        new("MD_CHECK_MAP past what is mapped", Errno.EINVAL, IovaNotMapped, "0x1011000 is not mapped in IOAS 3, the nearest area is [0x1010000, 0x1010FFF]",
            w => CheckMap(w.With(w => w.Map(Aperture + 0x10000, ioas: w.Guest.Ioas)), Aperture + 0x10000, 2 * Page, Memory)) { Value = Aperture + 0x11000, Id = 3, Overlap = new(Aperture + 0x10000, Aperture + 0x10FFF) },
        new("MD_CHECK_MAP with memory that isn't there", Errno.EFAULT, BufferFault, "only 0 of 4,096 bytes of the buffer can be accessed",
            w => CheckMap(w.With(w => w.Map(Aperture + 0x10000, ioas: w.Guest.Ioas)), Aperture + 0x10000, Page, Memory, readable: 0)) { Limit = Page, Id = 3 },

        new("MD_CHECK_REFS of a part of a page", Errno.EINVAL, MisalignedLength, "the length 0x400 is not aligned to 4,096 bytes", w => CheckRefs(w, Memory, 0x400, 0)) { Value = 0x400, Limit = Page },
        new("MD_CHECK_REFS within a page", Errno.EINVAL, MisalignedMemory, "the address or offset 0x10800 of the memory is not aligned to 4,096 bytes", w => CheckRefs(w, Memory + 0x800, Page, 0))
            { Value = Memory + 0x800, Limit = Page },
        new("MD_CHECK_REFS of another count", Errno.EIO, UnexpectedPinCount, "the page at 0x10000 has 1 pins, another number was expected",
            w => CheckRefs(w.With(w => w.Map(Aperture + 0x10000, ioas: w.Guest.Ioas)), Memory, Page, 2)) { Value = Memory, Limit = 1 },
        new("MD_CHECK_REFS of memory that isn't there", Errno.EFAULT, BufferFault, "only 0 of 4,096 bytes of the buffer can be accessed", w => CheckRefs(w, Memory, Page, 0, readable: 0)) { Limit = Page },
        new("MD_CHECK_REFS of more runs than one reply has", Errno.ENOMEM, TooManyPinnedRuns, "the pinned pages are in more than 10,000 runs, which is the limit", w =>
        {
            for (var page = 0UL; page <= IoctlLimits.MaxInspectionPage; page++)
            {
                w.With(w => w.Map(Aperture + 0x10000 + (page * Page), ioas: w.Guest.Ioas));
            }

            return CheckRefs(w, Memory, Page, 1);
        }) { Limit = IoctlLimits.MaxInspectionPage, Id = 3 },

        new("CREATE_ACCESS with an unknown flag", Errno.EOPNOTSUPP, UnsupportedFlags, "the flags 0x4 are not supported", w => w.Test(IommuTestOp.CreateAccess, 1, new IommuTestCreateAccess { Flags = 5 })) { Value = 4 },
        new("CREATE_ACCESS with an area within pages", Errno.EADDRINUSE, AreasMisaligned, "[0x7800, 0x87FF] or its memory is not aligned to 4,096 bytes",
            w => w.With(w => w.Map(0x5000)).With(w => w.Map(0x7800)).Test(IommuTestOp.CreateAccess, 1, new IommuTestCreateAccess { Flags = 1 })) { Limit = Page, Id = 1, Overlap = new(0x7800, 0x87FF) },
        new("ACCESS_PAGES of more than a pin may have", Errno.ENOMEM, RequestTooLarge, "the request is 16,777,217 bytes, the limit is 16,777,216", w => Pages(w, Open(w), Page, (16 << 20) + 1))
            { Value = (16 << 20) + 1, Limit = 16 << 20 },
        new("ACCESS_PAGES with an unknown flag", Errno.EOPNOTSUPP, UnsupportedFlags, "the flags 0x4 are not supported", w => Pages(w, Open(w), Page, Page, (IommuTestAccessFlags)5)) { Value = 4 },
        new("ACCESS_PAGES of a file that is none", Errno.EBADFD, NotAnAccess, "file descriptor 3 is not an access of an open context", w => Pages(w, null, Page, Page)) { Value = 3 },
        new("ACCESS_PAGES of an access that does not pin", Errno.EOPNOTSUPP, AccessDoesNotPin, "access 3 was not created to pin pages", w => Pages(w, Open(w, pins: false), Page, Page)) { Id = 3 },
        new("ACCESS_PAGES of nothing", Errno.EINVAL, EmptyRange, "the length is 0", w => Pages(w, Open(w), Page, 0)) { Id = 1 },
        new("ACCESS_PAGES within a page", Errno.EINVAL, MisalignedMemory, "the address or offset 0x10800 of the memory is not aligned to 4,096 bytes", w => Pages(w.With(w => w.Map(0x5000)), Open(w), 0x5800, 0x800))
            { Value = Memory + 0x800, Limit = Page, Id = 1 },
        new("ACCESS_PAGES past the last IOVA", Errno.EOVERFLOW, RangeOverflow, "0x2000 bytes from IOVA 0xFFFFFFFFFFFFF000 pass the last IOVA", w => Pages(w, Open(w), LastPage, 2 * Page))
            { Value = LastPage, Limit = 2 * Page, Id = 1 },
        new("ACCESS_PAGES for writing of a second area that is read-only", Errno.EPERM, AccessDenied, "[0x6000, 0x6FFF] is mapped without permission for this access, which it is asked for at 0x6000",
            w => Pages(w.With(w => w.Map(0x5000)).With(w => w.Map(0x6000, flags: ReadOnly)), Open(w), 0x5000, 2 * Page, IommuTestAccessFlags.Write)) { Value = 0x6000, Id = 1, Overlap = new(0x6000, 0x6FFF) },
        new("ACCESS_PAGES of a second area that isn't there", Errno.EFAULT, MemoryNotPinnable, "not all of the 0x1000 bytes of memory at 0x30000, mapped at [0x6000, 0x6FFF], can be pinned",
            w => Pages(w.With(w => w.Map(0x5000)).With(w => w.Map(0x6000, address: 0x30000, isThere: false)), Open(w), 0x5000, 2 * Page))
            { Value = 0x30000, Limit = Page, Id = 1, Overlap = new(0x6000, 0x6FFF) },
        new("ACCESS_PAGES of a file that is no memfd", Errno.EINVAL, FileNotPinnable, "not all of the 0x1000 bytes of the file at offset 0x2000, mapped at [0x5000, 0x5FFF], can be pinned",
            w => Pages(w.With(w => w.MapFile(PlainFile, 0x5000, start: 0x2000)), Open(w), 0x5000, Page)) { Value = 0x2000, Limit = Page, Id = 1, Overlap = new(0x5000, 0x5FFF) },
        new("ACCESS_PAGES of a dma-buf", Errno.EINVAL, DmaBufNotAccessible, "[0x5000, 0x5FFF] maps a dma-buf, which only devices reach",
            w => Pages(w.With(w => w.MapFile(DmaBuf, 0x5000, start: 0x2000)), Open(w), 0x5000, Page)) { Value = 0x2000, Id = 1, Overlap = new(0x5000, 0x5FFF) },
        new("ACCESS_RW of a dma-buf", Errno.EINVAL, DmaBufNotAccessible, "[0x5000, 0x5FFF] maps a dma-buf, which only devices reach",
            w => Rw(w.With(w => w.MapFile(DmaBuf, 0x5000, start: 0x2000)), 0x5801, 16, IommuTestAccessFlags.None)) { Value = 0x2801, Id = 1, Overlap = new(0x5000, 0x5FFF) },
        new("DMABUF_GET of too much", Errno.EINVAL, RequestTooLarge, "the request is 2,097,153 bytes, the limit is 2,097,152", w => w.Test(IommuTestOp.DmabufGet, 0, new IommuTestDmabufGet { Length = (512 * (uint)Page) + 1 }))
            { Value = (512 * Page) + 1, Limit = 512 * Page },
        new("DMABUF_REVOKE of a number that is not open", Errno.EBADF, FileNotOpen, "the file descriptor is not open", w => w.Test(IommuTestOp.DmabufRevoke, 0, default(IommuTestDmabufRevoke))),
        new("DMABUF_REVOKE of another file", Errno.EINVAL, NotSelftestDmaBuf, "the file is no dma-buf of the selftest's", w => w.Test(IommuTestOp.DmabufRevoke, 0, default(IommuTestDmabufRevoke), file: PlainFile)),
        new("DMABUF_REVOKE of a device's dma-buf", Errno.EOPNOTSUPP, NotSelftestDmaBuf, "the file is no dma-buf of the selftest's", w => w.Test(IommuTestOp.DmabufRevoke, 0, default(IommuTestDmabufRevoke), file: DmaBuf)),
        new("ACCESS_PAGES past what is mapped", Errno.ENOENT, IovaNotMapped, "0x6000 is not mapped in IOAS 1, the nearest area is [0x5000, 0x5FFF]", w => Pages(w.With(w => w.Map(0x5000)), Open(w), 0x5000, 2 * Page))
            { Value = 0x6000, Id = 1, Overlap = new(0x5000, 0x5FFF) },
        new("ACCESS_PAGES by the number of an area", Errno.ENOENT, IovaNotMapped, "0x6000 is not mapped in IOAS 1, the nearest area is [0x5000, 0x5FFF]",
            w => Pages(w.With(w => w.Map(0x5000)), Open(w), 0, 2 * Page, IommuTestAccessFlags.Syz)) { Value = 0x6000, Id = 1, Overlap = new(0x5000, 0x5FFF) },
        new("ACCESS_PAGES of other memory behind the second page", Errno.EBADE, UnexpectedPages, "the memory behind 0x6000 is not the expected memory",
            w => Pages(w.With(w => w.Map(0x5000)).With(w => w.Map(0x6000, address: 0x30000)), Open(w), 0x5000, 2 * Page, expected: Memory)) { Value = 0x6000, Id = 1 },
        new("ACCESS_PAGES with expected memory that isn't there", Errno.EFAULT, BufferFault, "only 16 of 8,192 bytes of the buffer can be accessed",
            w => Pages(w.With(w => w.Map(0x5000, 2 * Page)), Open(w), 0x5000, 2 * Page, expected: Memory, readable: 16)) { Value = 16, Limit = 2 * Page, Id = 1 },
        new("DESTROY_ACCESS_PAGES of no pin", Errno.ENOENT, PinNotFound, "the access has no pin 9: it was never taken, was dropped, or an unmap has revoked it",
            w => w.Test(IommuTestOp.DestroyAccessPages, 3, new IommuTestDestroyAccessPages { AccessPagesId = 9 }, file: Open(w))) { Value = 9, Id = 3 },
        new("ACCESS_RW from a buffer that can't be read", Errno.EFAULT, BufferFault, "only 3 of 16 bytes of the buffer can be accessed",
            w => Rw(w.With(w => w.Map(0x5000)), 0x5000, 16, IommuTestAccessFlags.Write, readable: 3)) { Value = 3, Limit = 16 },
        new("ACCESS_RW of a file that is no memfd within a page", Errno.EINVAL, FileNotPinnable, "not all of the 0x10 bytes of the file at offset 0x2801, mapped at [0x5000, 0x5FFF], can be pinned",
            w => Rw(w.With(w => w.MapFile(PlainFile, 0x5000, start: 0x2000)), 0x5801, 16, IommuTestAccessFlags.None)) { Value = 0x2801, Limit = 16, Id = 1, Overlap = new(0x5000, 0x5FFF) },
        new("ACCESS_RW of a second area that is read-only", Errno.EPERM, AccessDenied, "[0x6000, 0x6FFF] is mapped without permission for this access, which it is asked for at 0x6000",
            w => Rw(w.With(w => w.Map(0x5000)).With(w => w.Map(0x6000, flags: ReadOnly)), 0x5FFF, 2, IommuTestAccessFlags.Write)) { Value = 0x6000, Id = 1, Overlap = new(0x6000, 0x6FFF) },

        new("attach of an attached access", Errno.EINVAL, AccessAttached, "access 3 is already attached", w => w.Ask(new AttachAccessRequest(Access(w, attach: true), new ObjectId(2)))) { Id = 3 },
        new("detach of an access that is not attached", Errno.EINVAL, AccessNotAttached, "access 3 is not attached to an IOAS", w => w.Ask(new DetachAccessRequest(Access(w)))) { Id = 3 },
        new("a pin by an access that does not pin", Errno.EINVAL, AccessDoesNotPin, "access 3 was not created to pin pages", w => w.Ask(new PinPagesRequest(Access(w, pins: false), Page, Page, false))) { Id = 3 },
        new("a pin by another driver's access", Errno.ENOENT, ObjectOfOtherDriver, "access 3 was made by another driver, which alone can use it",
            w => w.Ask(new PinPagesRequest(Access(w), Page, Page, false), w.Context.Driver("other"))) { Id = 3 },
        new("an unpin without an IOAS", Errno.ENOENT, PinNotFound, "the access has no pin 1: it was never taken, was dropped, or an unmap has revoked it", w => w.Ask(new UnpinPagesRequest(Access(w), 1)))
            { Value = 1, Id = 3 },

        new("DIRTY of pages of 0 bytes", Errno.EINVAL, InvalidPageSize, "the page size is 0x0, it must be a power of two", w => Dirty(w, Aperture, Page, 0)),
        new("DIRTY of nothing", Errno.EINVAL, EmptyRange, "the length is 0", w => Dirty(w, Aperture, 0, 2048)),
        new("DIRTY within a page", Errno.EINVAL, Misaligned, "the IOVA 0x1000400 is not aligned to 2,048 bytes", w => Dirty(w, Aperture + 0x400, Page, 2048)) { Value = Aperture + 0x400, Limit = 2048 },
        new("DIRTY of a part of a page", Errno.EINVAL, MisalignedLength, "the length 0x400 is not aligned to 2,048 bytes", w => Dirty(w, Aperture, 0x400, 2048)) { Value = 0x400, Limit = 2048 },
        new("DIRTY without a bitmap", Errno.EINVAL, NoBuffer, "the pointer to the 2 bytes is 0", w => Dirty(w, Aperture, 9 * 2048, 2048, address: 0)) { Limit = 2 },
        new("DIRTY of a HWPT that tracks nothing", Errno.EINVAL, DirtyTrackingDisabled, "dirty tracking of HWPT 7 is not enabled", w => Dirty(w, Aperture, Page, 2048)) { Id = 7 },
        new("DIRTY with a bitmap that can't be read", Errno.EFAULT, BufferFault, "only 1 of 2 bytes of the buffer can be accessed", w => Dirty(w, Aperture, 9 * 2048, 2048, tracks: true, content: new byte[1]))
            { Value = 1, Limit = 2, Id = 3 },
        new("DIRTY with a bitmap that is larger than travels", Errno.ENOMEM, RequestTooLarge, "the request is 1,048,577 bytes, the limit is 1,048,576",
            w => Dirty(w, Aperture, ((1 << 23) + 8UL) * 2048, 2048, tracks: true, content: new byte[(1 << 20) + 1])) { Value = (1 << 20) + 1, Limit = 1 << 20 },

        new("MD_CHECK_IOTLB of no entry", Errno.EINVAL, NoCacheEntry, "the cache has no entry 4, it has 4", w => w.Test(IommuTestOp.MdCheckIotlb, w.Guest.Nested, new IommuTestCheckIotlb { Id = 4, Iotlb = 7 }))
            { Value = 4, Limit = 4, Id = 14 },
        new("MD_CHECK_IOTLB of something else", Errno.EINVAL, UnexpectedIotlb, "the entry of the page table's cache is 0x7, something else was expected",
            w => w.Test(IommuTestOp.MdCheckIotlb, w.Guest.Nested, new IommuTestCheckIotlb { Iotlb = 8 })) { Value = 7, Id = 14 },
        new("DEV_CHECK_CACHE of something else", Errno.EINVAL, UnexpectedCache, "the entry of the device's cache is 0xBADDAD, something else was expected",
            w => w.Test(IommuTestOp.DevCheckCache, w.Guest.Mock.OutIdevId, new IommuTestCheckDevCache { Cache = 1 })) { Value = 0xBADDAD, Id = 5 },
        new("TRIGGER_VEVENT of a device without a vIOMMU", Errno.ENOENT, NoViommu, "device 5 is not attached to a nested HWPT of a vIOMMU, or is 0 there",
            w => w.Test(IommuTestOp.TriggerVevent, 0, new IommuTestTriggerVevent { DevId = w.Guest.Mock.OutIdevId })) { Id = 5 },
        new("TRIGGER_VEVENT without an event queue", Errno.EOPNOTSUPP, NoVeventq, "vIOMMU 9 has no event queue of this kind", w =>
        {
            var guest = Attached(w);
            w.Destroy(guest.Veventq);
            return w.Test(IommuTestOp.TriggerVevent, 0, new IommuTestTriggerVevent { DevId = guest.Mock.OutIdevId });
        }) { Id = 9 },

        new("PASID_CHECK_HWPT of a PASID that is not attached", Errno.EINVAL, UnexpectedHwpt, "PASID 6 is not attached",
            w => w.Test(IommuTestOp.PasidCheckHwpt, w.Guest.Mock.OutStdevId, new IommuTestPasidCheck { Pasid = 6, HwptId = w.Guest.Parent })) { Value = 6 },
        new("PASID_CHECK_HWPT of a PASID that is attached elsewhere", Errno.EINVAL, UnexpectedHwpt, "PASID 6 is attached to HWPT 17", w =>
        {
            var (owner, hwpt) = WithPasids(w);
            w.With(w => w.Test(IommuTestOp.PasidAttach, owner, new IommuTestPasidAttach { Pasid = 6, PtId = hwpt }));
            return w.Test(IommuTestOp.PasidCheckHwpt, owner, new IommuTestPasidCheck { Pasid = 6, HwptId = w.Guest.Parent });
        }) { Value = 6, Id = 17 },
        new("PASID_ATTACH of the one that fails", Errno.ENOMEM, SelftestFailure, "the emulated device fails this replacement once: PASID 1024 is for testing that", w =>
        {
            var (owner, hwpt) = WithPasids(w);
            var other = w.Context.AllocateHwpt(w.Guest.Mock.OutIdevId, w.Guest.Ioas, IommuHwptAllocFlags.Pasid);
            w.With(w => w.Test(IommuTestOp.PasidAttach, owner, new IommuTestPasidAttach { Pasid = 1024, PtId = hwpt }));
            return w.Test(IommuTestOp.PasidReplace, owner, new IommuTestPasidAttach { Pasid = 1024, PtId = other });
        }) { Id = 16 },
    ];

    /// <summary>A guest whose device is attached to the nested HWPT.</summary>
    public static Guest Attached(World w)
    {
        w.Context.Replace(w.Guest.Mock.OutStdevId, w.Guest.Nested);
        return w.Guest;
    }

    // A device with PASIDs and a HWPT for them, beside the guest.
    private static (uint Owner, uint Hwpt) WithPasids(World w)
    {
        var mock = w.Context.MockDomain(w.Guest.Ioas, IommuTestDeviceFlags.Pasid);
        var hwpt = w.Context.AllocateHwpt(mock.OutIdevId, w.Guest.Ioas, IommuHwptAllocFlags.Pasid);
        w.Context.Replace(mock.OutStdevId, hwpt);
        return (mock.OutStdevId, hwpt);
    }

    // The file of access 3 of IOAS 1.
    private static UserFile Open(World w, bool pins = true) => w.Context.Run(
        IommuCommand.TestCmd,
        new IommuTestCmd { Op = (uint)IommuTestOp.CreateAccess, Id = 1, Fields = IommuTestCmdUnion.Of(new IommuTestCreateAccess { Flags = pins ? 1U : 0 }) }).File!.File;

    private static ObjectId Access(World w, bool pins = true, bool attach = false)
    {
        var access = w.Context.AskOk(w.Driver, new CreateAccessRequest(pins));
        _ = attach ? w.Context.AskOk(w.Driver, new AttachAccessRequest(access, new ObjectId(1))) : default;
        return access;
    }

    private static (Errno Errno, IoctlDiagnostic? Diagnostic) CheckMap(World w, ulong iova, ulong length, ulong address, ulong? readable = null) => w.Test(
        IommuTestOp.MdCheckMap, w.Guest.Parent, new IommuTestCheckMap { Iova = iova, Length = length, Uptr = address }, Probe(IommuTestOp.MdCheckMap, address, length, readable));

    private static (Errno Errno, IoctlDiagnostic? Diagnostic) CheckRefs(World w, ulong address, ulong length, uint refs, ulong? readable = null) => w.Test(
        IommuTestOp.MdCheckRefs, 0, new IommuTestCheckRefs { Length = length, Uptr = address, Refs = refs }, Probe(IommuTestOp.MdCheckRefs, address, length, readable));

    private static (Errno Errno, IoctlDiagnostic? Diagnostic) Pages(
        World w, UserFile? file, ulong iova, ulong length, IommuTestAccessFlags flags = IommuTestAccessFlags.None, ulong expected = 0, ulong? readable = null) => w.Test(
        IommuTestOp.AccessPages, 3, new IommuTestAccessPages { Flags = (uint)flags, Iova = iova, Length = length, Uptr = expected }, Probe(IommuTestOp.AccessPages, expected, length, readable), file);

    private static (Errno Errno, IoctlDiagnostic? Diagnostic) Rw(World w, ulong iova, ulong length, IommuTestAccessFlags flags, ulong? readable = null) => w.Test(
        IommuTestOp.AccessRw, 3, new IommuTestAccessRw { Iova = iova, Length = length, Uptr = Memory, Flags = (uint)flags }, Probe(IommuTestOp.AccessRw, Memory, length, readable), Open(w));

    private static (Errno Errno, IoctlDiagnostic? Diagnostic) Dirty(World w, ulong iova, ulong length, ulong pageSize, ulong address = Memory, bool tracks = false, byte[]? content = null)
    {
        var hwpt = w.Guest.Parent;
        if (tracks)
        {
            hwpt = w.Context.AllocateHwpt(w.Guest.Mock.OutIdevId, w.Guest.Ioas, IommuHwptAllocFlags.DirtyTracking);
            w.With(w => w.Ioctl(IommuCommand.HwptSetDirtyTracking, new IommuHwptSetDirtyTracking { HwptId = hwpt, Flags = 1 }));
        }

        return w.Test(
            IommuTestOp.Dirty, hwpt, new IommuTestDirty { Iova = iova, Length = length, PageSize = pageSize, Uptr = address },
            In(content ?? new byte[64], index: IoctlTable.TestBufferIndex(IommuTestOp.Dirty)));
    }

    private static UserBuffer Probe(IommuTestOp op, ulong address, ulong length, ulong? readable) => new()
    {
        Index = (byte)IoctlTable.TestBufferIndex(op),
        Address = address,
        Length = length,
        ReadableBytes = readable ?? length,
        WritableBytes = readable ?? length,
    };
}
