using IommuFd.GrainInterfaces;
using IommuFd.Uapi;
using static IommuFd.GrainInterfaces.DiagnosticReason;
using static IommuFd.UnitTests.Reasons.World;

namespace IommuFd.UnitTests.Reasons;

/// <summary>The commands on mappings.</summary>
internal static class Mappings
{
    private const ulong Last = ulong.MaxValue;
    private const uint ReadOnly = (uint)IommuIoasMapFlags.Readable;
    private static readonly UserFile Memfd = new("memfd:ram", true, 16 * Page);
    private static readonly UserFile PlainFile = new("file", false, 16 * Page);
    private static readonly UserFile DmaBuf = new("dma-buf", false, 16 * Page) { DmaBuf = new UserDmaBuf(DmaBufState.Mappable) };

    public static IEnumerable<Row> Rows =>
    [
        new("MAP with a reserved field", Errno.EOPNOTSUPP, ReservedNotZero, "a reserved field is 0x3, it must be 0", w => w.Map(reserved: 3)) { Value = 3 },
        new("MAP with an unknown flag beside known ones", Errno.EOPNOTSUPP, UnsupportedFlags, "the flags 0x10 are not supported", w => w.Map(flags: 0x16)) { Value = 0x10 },
        new("MAP at the last IOVA", Errno.EOVERFLOW, NumberTooLarge, "0xFFFFFFFFFFFFFFFF is too large for an IOVA or a length, the largest is 0xFFFFFFFFFFFFFFFE", w => w.Map(Last, 1))
            { Value = Last, Limit = Last - 1 },
        new("MAP of 2^64 - 1 bytes", Errno.EOVERFLOW, NumberTooLarge, "0xFFFFFFFFFFFFFFFF is too large for an IOVA or a length, the largest is 0xFFFFFFFFFFFFFFFE", w => w.Map(0, Last))
            { Value = Last, Limit = Last - 1 },
        new("MAP for neither reading nor writing", Errno.EINVAL, MappingWithoutAccess, "the flags 0x1 make the mapping neither readable nor writeable", w => w.Map(Page, flags: 0)) { Value = 1 },
        new("MAP in no IOAS", Errno.ENOENT, ObjectNotFound, "no object has the id 77", w => w.Map(ioas: Missing)) { Id = Missing },
        new("MAP in a HWPT", Errno.ENOENT, ObjectOfOtherType, "object 7 is a HWPT, the command needs another kind", w => w.Map(ioas: w.Guest.Parent)) { Id = 7 },
        new("MAP of memory that reaches 2^64", Errno.EOVERFLOW, MemoryOverflow, "0x1000 bytes from 0xFFFFFFFFFFFFF000, in whole pages, reach 2^64", w => w.Map(Page, address: LastPage))
            { Value = LastPage, Limit = Page, Id = 1 },
        new("MAP of nothing", Errno.EINVAL, EmptyRange, "the length is 0", w => w.Map(length: 0)) { Id = 1 },
        new("MAP of all but 16 bytes", Errno.EINVAL, NumberTooLarge, "0xFFFFFFFFFFFFFFF0 is too large for an IOVA or a length, the largest is 0xFFFFFFFFFFFFEFFF", w => w.Map(0, Last - 15, address: 0))
            { Value = Last - 15, Limit = Last - Page, Id = 1 },
        new("MAP of memory whose pages reach 2^64", Errno.EOVERFLOW, MemoryOverflow, "0xFFFFFFFFFFFFEFFF bytes from 0x10, in whole pages, reach 2^64", w => w.Map(0, Last - Page, address: 0x10))
            { Value = 0x10, Limit = Last - Page, Id = 1 },
        new("MAP of half a page where pages are whole", Errno.EINVAL, MisalignedLength, "the length 0x800 is not aligned to 4,096 bytes", w => w.With(w => w.AlignToPages(1)).Map(length: 0x800))
            { Value = 0x800, Limit = Page, Id = 1 },
        new("MAP within a page", Errno.EINVAL, Misaligned, "the IOVA 0x1800 is not aligned to 4,096 bytes", w => w.With(w => w.AlignToPages(1)).Map(0x1800)) { Value = 0x1800, Limit = Page, Id = 1 },
        new("MAP of memory within a page", Errno.EINVAL, MisalignedMemory, "the address or offset 0x10800 of the memory is not aligned to 4,096 bytes",
            w => w.With(w => w.AlignToPages(1)).Map(Page, address: Memory + 0x800)) { Value = Memory + 0x800, Limit = Page, Id = 1 },
        new("MAP of memory within a page anywhere", Errno.EINVAL, MisalignedMemory, "the address or offset 0x10800 of the memory is not aligned to 4,096 bytes",
            w => w.With(w => w.AlignToPages(1)).Map(address: Memory + 0x800)) { Value = Memory + 0x800, Limit = Page, Id = 1 },
        new("MAP past the last IOVA", Errno.EOVERFLOW, RangeOverflow, "0x2000 bytes from IOVA 0xFFFFFFFFFFFFF000 pass the last IOVA", w => w.Map(LastPage, 2 * Page)) { Value = LastPage, Limit = 2 * Page, Id = 1 },
        new("MAP into what is reserved", Errno.EINVAL, ReservedInTheWay, "[0x7000, 0x8FFF] can't be mapped or allowed, [0x8000, 0x8FFF] is reserved", w => w.With(w => w.Reserve(0x8000, Page)).Map(0x7000, 2 * Page))
            { Value = 0x7000, Limit = 0x8FFF, Overlap = new(0x8000, 0x8FFF), Id = 1 },
        new("MAP over an area", Errno.EEXIST, AreaInTheWay, "[0x7000, 0x8FFF] is not free, [0x8000, 0x8FFF] is mapped", w => w.With(w => w.Map(0x8000)).Map(0x7000, 2 * Page))
            { Value = 0x7000, Limit = 0x8FFF, Overlap = new(0x8000, 0x8FFF), Id = 1 },
        new("MAP of half of all IOVAs anywhere", Errno.EOVERFLOW, TooLongToPlace, "0x7FFFFFFFFFFFFFFF bytes are half of all IOVAs or more, an IOVA is chosen only for less", w => w.Map(length: Last / 2, address: 0))
            { Value = Last / 2, Id = 1 },
        new("MAP where no hole is large enough", Errno.ENOSPC, NoHole, "no hole of 0x2000 bytes, the largest is 0x1000", w => w.With(w => w.Allow(new IovaRange(0x10000, 0x10FFF))).Map(length: 2 * Page))
            { Value = 2 * Page, Limit = Page, Id = 1 },
        new("MAP where no hole is aligned", Errno.ENOSPC, NoHole, "no hole of 0x2000 bytes is aligned as the memory is, the largest hole is 0x2000",
            w => w.With(w => w.Allow(new IovaRange(0x10800, 0x127FF))).Map(length: 2 * Page)) { Value = 2 * Page, Limit = 2 * Page, Id = 1 },
        new("MAP of a device's BAR where a HWPT is", Errno.EFAULT, MemoryNotPinnable, "not all of the 0x1000 bytes of memory at 0xFD000000 can be pinned",
            w => w.Map(Aperture + 0x100000, address: 0xFD00_0000, ioas: w.Guest.Ioas, isThere: false)) { Value = 0xFD00_0000, Limit = Page, Id = 3 },
        new("MAP that can't be answered", Errno.EFAULT, ArgumentUnwritable, "only 3 of 40 bytes of the answer can be written",
            w => w.Ioctl(IommuCommand.IoasMap, new IommuIoasMap { Flags = 6, IoasId = 1, UserVa = Memory, Length = Page }, writable: 3)) { Value = 3, Limit = 40 },
        new("MAP of one area too many", Errno.ENOMEM, TooManyAreas, "the context would have 2 areas and ranges, the limit is 1", w =>
        {
            w.Context.ObjectGrains.MaxAreas = 1;
            return w.With(w => w.Map(Page)).Map(2 * Page);
        }) { Value = 2, Limit = 1 },
        new("MAP by a grain that has lost its state", Errno.EIO, ObjectUnreachable, "the grain of IOAS 1 did not answer or has lost its state", w =>
        {
            w.With(w => w.Map(Page)).Context.GrainOf(1).Lose();
            return w.Map(2 * Page);
        }) { Id = 1 },

        new("MAP_FILE without a file", Errno.EBADF, FileNotOpen, "the file descriptor is not open", w => w.MapFile(null)) { Id = 1 },
        new("MAP_FILE with an unknown flag", Errno.EOPNOTSUPP, UnsupportedFlags, "the flags 0x8 are not supported",
            w => w.Ioctl(IommuCommand.IoasMapFile, new IommuIoasMapFile { Flags = 0xE, IoasId = 1, Length = Page }, file: Memfd)) { Value = 8 },
        new("MAP_FILE past the last offset", Errno.EOVERFLOW, MemoryOverflow, "0x2000 bytes from 0xFFFFFFFFFFFFF000, in whole pages, reach 2^64", w => w.MapFile(Memfd, length: 2 * Page, start: LastPage))
            { Value = LastPage, Limit = 2 * Page, Id = 1 },
        new("MAP_FILE of nothing", Errno.EINVAL, EmptyRange, "the length is 0", w => w.MapFile(Memfd, length: 0)) { Id = 1 },
        new("MAP_FILE at an offset within a page", Errno.EINVAL, MisalignedMemory, "the address or offset 0x1800 of the memory is not aligned to 4,096 bytes",
            w => w.With(w => w.AlignToPages(1)).MapFile(Memfd, Page, start: 0x1800)) { Value = 0x1800, Limit = Page, Id = 1 },
        new("MAP_FILE of a file that is no memfd where a HWPT is", Errno.EINVAL, FileNotPinnable, "not all of the 0x1000 bytes of the file at offset 0x2000 can be pinned",
            w => w.MapFile(PlainFile, Aperture + 0x100000, start: 0x2000, ioas: w.Guest.Ioas)) { Value = 0x2000, Limit = Page, Id = 3 },
        new("MAP_FILE of a dma-buf that is revoked", Errno.ENODEV, DmaBufRevoked, "the dma-buf is revoked", w => w.MapFile(DmaBuf with { DmaBuf = new UserDmaBuf(DmaBufState.Revoked) })) { Id = 1 },
        new("MAP_FILE of a dma-buf with several ranges", Errno.EOPNOTSUPP, DmaBufScattered, "the dma-buf has several ranges", w => w.MapFile(DmaBuf with { DmaBuf = new UserDmaBuf(DmaBufState.Scattered) })) { Id = 1 },
        new("MAP_FILE beyond the end of a dma-buf", Errno.EINVAL, DmaBufTooShort, "the dma-buf has 0x10000 bytes, the part to map ends at 0x11000", w => w.MapFile(DmaBuf, length: 2 * Page, start: 15 * Page))
            { Value = 17 * Page, Limit = 16 * Page, Id = 1 },
        new("MAP_FILE of a dma-buf that is revoked, beyond its end", Errno.EINVAL, DmaBufTooShort, "the dma-buf has 0x10000 bytes, the part to map ends at 0x11000",
            w => w.MapFile(DmaBuf with { DmaBuf = new UserDmaBuf(DmaBufState.Revoked) }, length: 2 * Page, start: 15 * Page)) { Value = 17 * Page, Limit = 16 * Page, Id = 1 },
        new("MAP_FILE of a dma-buf over an area", Errno.EEXIST, AreaInTheWay, "[0x8000, 0x8FFF] is not free, [0x8000, 0x8FFF] is mapped", w => w.With(w => w.Map(0x8000)).MapFile(DmaBuf, 0x8000))
            { Value = 0x8000, Limit = 0x8FFF, Overlap = new(0x8000, 0x8FFF), Id = 1 },
        new("MAP_FILE over an area", Errno.EEXIST, AreaInTheWay, "[0x8000, 0x8FFF] is not free, [0x8000, 0x8FFF] is mapped", w => w.With(w => w.Map(0x8000)).MapFile(Memfd, 0x8000))
            { Value = 0x8000, Limit = 0x8FFF, Overlap = new(0x8000, 0x8FFF), Id = 1 },

        new("COPY with the last IOVA as source", Errno.EOVERFLOW, NumberTooLarge, "0xFFFFFFFFFFFFFFFF is too large for an IOVA or a length, the largest is 0xFFFFFFFFFFFFFFFE", w => w.Copy(Last, 1))
            { Value = Last, Limit = Last - 1 },
        new("COPY from no IOAS", Errno.ENOENT, ObjectNotFound, "no object has the id 77", w => w.Copy(Page, Page, from: Missing)) { Id = Missing },
        new("COPY of nothing", Errno.EINVAL, EmptyRange, "the length is 0", w => w.Copy(Page, 0)) { Id = 1 },
        new("COPY past the last IOVA", Errno.EOVERFLOW, RangeOverflow, "0x2000 bytes from IOVA 0xFFFFFFFFFFFFF000 pass the last IOVA", w => w.Copy(LastPage, 2 * Page))
            { Value = LastPage, Limit = 2 * Page, Id = 1 },
        new("COPY past the end of an area", Errno.ENOENT, IovaNotMapped, "0x6000 is not mapped in IOAS 1, the nearest area is [0x5000, 0x5FFF]", w => w.With(w => w.Map(0x5000)).Copy(0x5800, Page))
            { Value = 0x6000, Id = 1, Overlap = new(0x5000, 0x5FFF) },
        new("COPY where nothing is mapped", Errno.ENOENT, IovaNotMapped, "0x5000 is not mapped in IOAS 1, the IOAS has no area", w => w.Copy(0x5000, Page)) { Value = 0x5000, Id = 1 },
        new("COPY to no IOAS", Errno.ENOENT, ObjectNotFound, "no object has the id 77", w => w.With(w => w.Map(Page)).Copy(Page, Page, to: Missing)) { Id = Missing },
        new("COPY for writing of what was mapped for reading", Errno.EPERM, PagesNotWritable, "the copy is to be writeable, but the memory at 0x10000 was mapped for reading only",
            w => w.With(w => w.Map(0x5000, flags: ReadOnly)).Copy(0x5000, Page)) { Value = Memory, Id = 2 },
        new("COPY of memory within a page", Errno.EINVAL, MisalignedMemory, "the address or offset 0x10800 of the memory is not aligned to 4,096 bytes",
            w => w.With(w => w.Map(0x5000, address: Memory + 0x800)).With(w => w.AlignToPages(2)).Copy(0x5000, Page, 0x6000)) { Value = Memory + 0x800, Limit = Page, Id = 2 },
        new("COPY of memory that isn't there to where a HWPT is", Errno.EFAULT, MemoryNotPinnable, "not all of the 0x1000 bytes of memory at 0x11000 can be pinned",
            w => w.With(w => w.Map(0x5000)).With(w => w.Map(0x6000, address: Memory + Page, isThere: false)).Copy(0x5000, 2 * Page, Aperture + 0x100000, to: w.Guest.Ioas))
            { Value = Memory + Page, Limit = Page, Id = 3 },

        new("UNMAP of nothing", Errno.EINVAL, EmptyRange, "the length is 0", w => w.Unmap(Page, 0)) { Id = 1 },
        new("UNMAP of the last IOVA", Errno.EOVERFLOW, NumberTooLarge, "0xFFFFFFFFFFFFFFFF is too large for an IOVA or a length, the largest is 0xFFFFFFFFFFFFFFFE", w => w.Unmap(Last, 1))
            { Value = Last, Limit = Last - 1, Id = 1 },
        new("UNMAP past the last IOVA", Errno.EOVERFLOW, RangeOverflow, "0x2000 bytes from IOVA 0xFFFFFFFFFFFFF000 pass the last IOVA", w => w.Unmap(LastPage, 2 * Page))
            { Value = LastPage, Limit = 2 * Page, Id = 1 },
        new("UNMAP where nothing is mapped", Errno.ENOENT, RangeNotMapped, "nothing is mapped in 0x1000 bytes from 0x5000, the IOAS has no area", w => w.Unmap(0x5000, Page))
            { Value = 0x5000, Limit = Page, Id = 1 },
        new("UNMAP beside an area", Errno.ENOENT, RangeNotMapped, "nothing is mapped in 0x1000 bytes from 0x5000, the nearest area is [0x7000, 0x7FFF]", w => w.With(w => w.Map(0x7000)).Unmap(0x5000, Page))
            { Value = 0x5000, Limit = Page, Id = 1, Overlap = new(0x7000, 0x7FFF) },
        new("UNMAP of a part of the second area", Errno.ENOENT, AreaReachesOut, "[0x6000, 0x7FFF] reaches out of 0x2000 bytes from 0x5000, areas are unmapped as a whole",
            w => w.With(w => w.Map(0x5000)).With(w => w.Map(0x6000, 2 * Page)).Unmap(0x5000, 2 * Page)) { Value = 0x5000, Limit = 2 * Page, Id = 1, Overlap = new(0x6000, 0x7FFF) },
        new("UNMAP of a hardware queue's memory", Errno.EBUSY, AreaLocked, "[0x1000000, 0x100FFFF] can't be unmapped, a HW queue is in it",
            w => w.Unmap(Aperture, 16 * Page, w.Guest.Ioas)) { Value = Aperture, Limit = 16 * Page, Id = 3, Overlap = new(Aperture, Aperture + 0xFFFF) },

        new("IOVA_RANGES with a reserved field", Errno.EOPNOTSUPP, ReservedNotZero, "a reserved field is 0x4, it must be 0",
            w => w.Ioctl(IommuCommand.IoasIovaRanges, new IommuIoasIovaRanges { IoasId = 1, Reserved = 4 })) { Value = 4 },
        new("IOVA_RANGES without room", Errno.EMSGSIZE, ArrayTooSmall, "the array has room for 1 range, there are 2", w => w.With(w => w.Reserve(0x8000, Page))
            .Ioctl(IommuCommand.IoasIovaRanges, new IommuIoasIovaRanges { IoasId = 1, NumIovas = 1, AllowedIovas = Memory }, In(new byte[16]))) { Value = 1, Limit = 2 },
        new("IOVA_RANGES that can't be written", Errno.EFAULT, BufferFault, "only 8 of 16 bytes of the buffer can be accessed",
            w => w.Ioctl(IommuCommand.IoasIovaRanges, new IommuIoasIovaRanges { IoasId = 1, NumIovas = 1, AllowedIovas = Memory }, In(new byte[16], 8))) { Value = 8, Limit = 16 },

        new("ALLOW_IOVAS with a reserved field", Errno.EOPNOTSUPP, ReservedNotZero, "a reserved field is 0x5, it must be 0",
            w => w.Ioctl(IommuCommand.IoasAllowIovas, new IommuIoasAllowIovas { IoasId = 1, Reserved = 5 })) { Value = 5 },
        new("ALLOW_IOVAS that can't be read", Errno.EFAULT, BufferFault, "only 16 of 32 bytes of the buffer can be accessed", w => w.Allow(2, Bytes(new IommuIovaRange { Start = 1, Last = 2 }, default), 16))
            { Value = 16, Limit = 32, Id = 1 },
        new("ALLOW_IOVAS of what descends", Errno.EINVAL, InvalidRangeList, "[0x5000, 0x4000] of the list does not end after its start", w => w.Allow(new IovaRange(1, 2), new IovaRange(0x5000, 0x4000)))
            { Value = 0x5000, Limit = 0x4000, Id = 1 },
        new("ALLOW_IOVAS of what overlaps", Errno.EINVAL, RangesOverlap, "[0x1000, 0x3000] and [0x2000, 0x4000] of the list overlap",
            w => w.Allow(new IovaRange(0x9000, 0xA000), new IovaRange(0x2000, 0x4000), new IovaRange(0x1000, 0x3000))) { Value = 0x1000, Limit = 0x3000, Id = 1, Overlap = new(0x2000, 0x4000) },
        new("ALLOW_IOVAS of what is reserved", Errno.EADDRINUSE, ReservedInTheWay, "[0x7000, 0x8FFF] can't be mapped or allowed, [0x8000, 0x8FFF] is reserved",
            w => w.With(w => w.Reserve(0x8000, Page)).Allow(new IovaRange(0x1000, 0x1FFF), new IovaRange(0x7000, 0x8FFF))) { Value = 0x7000, Limit = 0x8FFF, Id = 1, Overlap = new(0x8000, 0x8FFF) },
        new("ALLOW_IOVAS of more than travels", Errno.ENOMEM, RequestTooLarge, "the request is 1,048,592 bytes, the limit is 1,048,576",
            w => w.Allow(65_537, Bytes([.. Enumerable.Range(1, 65_537).Select(n => new IommuIovaRange { Start = (ulong)n * 2, Last = ((ulong)n * 2) + 1 })]))) { Value = 1_048_592, Limit = 1_048_576 },

        new("RLIMIT_MODE of an object", Errno.EOPNOTSUPP, OptionTakesNoObject, "object_id is 1, it must be 0: the option belongs to the context", w => w.Option(IommuOptionId.RlimitMode, 1, id: 1)) { Id = 1 },
        new("RLIMIT_MODE of a context with objects", Errno.EBUSY, ContextHasObjects, "the option can only be set while the context has no objects, it has IOAS 1, IOAS 2", w => w.Option(IommuOptionId.RlimitMode, 0)),
        new("RLIMIT_MODE 2", Errno.EINVAL, InvalidOptionValue, "the option can't be set to 2, only to 0 or 1", w =>
        {
            w.Context.RunOk(IommuCommand.Destroy, new IommuDestroy { Id = 1 });
            w.Context.RunOk(IommuCommand.Destroy, new IommuDestroy { Id = 2 });
            return w.Option(IommuOptionId.RlimitMode, 0, 2);
        }) { Value = 2 },
        new("HUGE_PAGES 3", Errno.EINVAL, InvalidOptionValue, "the option can't be set to 3, only to 0 or 1", w => w.Option(IommuOptionId.HugePages, 0, 3, 1)) { Value = 3 },
        new("HUGE_PAGES by an unknown op", Errno.EOPNOTSUPP, UnsupportedOp, "op 9 is not supported", w => w.Option(IommuOptionId.HugePages, 9, 0, 1)) { Value = 9 },
        new("an unknown option", Errno.EOPNOTSUPP, UnsupportedOption, "option 8 is not supported", w => w.Option((IommuOptionId)8, 0)) { Value = 8 },
        new("an option with a reserved field", Errno.EOPNOTSUPP, ReservedNotZero, "a reserved field is 0x6, it must be 0", w => w.Ioctl(IommuCommand.Option, new IommuOption { Reserved = 6 })) { Value = 6 },
        new("HUGE_PAGES off with an area within pages", Errno.EADDRINUSE, UnalignedAreas, "huge pages can't be switched off, [0x7800, 0x87FF] or its memory is not aligned to pages",
            w => w.With(w => w.Map(0x5000)).With(w => w.Map(0x7800)).AlignToPages(1)) { Id = 1, Overlap = new(0x7800, 0x87FF) },
        new("HUGE_PAGES off while a HWPT has them", Errno.EINVAL, HugePagesInUse, "huge pages can't be switched off while [0x1000000, 0x100FFFF] is mapped and HWPT 6 mirrors the IOAS",
            w => w.AlignToPages(w.Guest.Ioas)) { Id = 6, Overlap = new(Aperture, Aperture + 0xFFFF) },

        new("CHANGE_PROCESS with process memory", Errno.EINVAL, MapsProcessMemory, "IOAS 2 maps process memory at [0x6000, 0x6FFF], only mappings of files can move to another process",
            w => w.With(w => w.MapFile(Memfd, 0x5000)).With(w => w.MapFile(Memfd, 0x5000, ioas: 2)).With(w => w.Map(0x6000, ioas: 2)).Ioctl(IommuCommand.IoasChangeProcess, default(IommuIoasChangeProcess)))
            { Id = 2, Overlap = new(0x6000, 0x6FFF) },
        new("CHANGE_PROCESS with a reserved field", Errno.EOPNOTSUPP, ReservedNotZero, "a reserved field is 0x7, it must be 0",
            w => w.Ioctl(IommuCommand.IoasChangeProcess, new IommuIoasChangeProcess { Reserved = 7 })) { Value = 7 },

        new("ADD_RESERVED of nothing", Errno.EINVAL, EmptyRange, "the length is 0", w => w.Reserve(0x5000, 0)) { Value = 0x5000 },
        new("ADD_RESERVED past the last IOVA", Errno.EOVERFLOW, RangeOverflow, "0x2000 bytes from IOVA 0xFFFFFFFFFFFFF000 pass the last IOVA", w => w.Reserve(LastPage, 2 * Page))
            { Value = LastPage, Limit = 2 * Page },
        new("ADD_RESERVED of what is mapped", Errno.EADDRINUSE, AreaInTheWay, "[0x7000, 0x8FFF] is not free, [0x8000, 0x8FFF] is mapped", w => w.With(w => w.Map(0x8000)).Reserve(0x7000, 2 * Page))
            { Value = 0x7000, Limit = 0x8FFF, Id = 1, Overlap = new(0x8000, 0x8FFF) },
        new("ADD_RESERVED of what is allowed", Errno.EADDRINUSE, AllowedInTheWay, "[0x7000, 0x8FFF] can't be reserved, automatic IOVAs are allowed in [0x8000, 0x9FFF]",
            w => w.With(w => w.Allow(new IovaRange(0x1000, 0x1FFF), new IovaRange(0x8000, 0x9FFF))).Reserve(0x7000, 2 * Page)) { Value = 0x7000, Limit = 0x8FFF, Id = 1, Overlap = new(0x8000, 0x9FFF) },
    ];
}
