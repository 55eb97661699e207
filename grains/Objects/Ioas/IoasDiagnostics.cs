using System.Numerics;
using System.Runtime.InteropServices;
using IommuFd.GrainInterfaces;
using IommuFd.Grains.Iommus;
using IommuFd.Grains.IoPagetable;
using IommuFd.Grains.Model;
using IommuFd.Uapi;

namespace IommuFd.Grains.Objects.Ioas;

// For people, after the errno is decided, and without a part in deciding it. A rule that fails is found again in the order in which the model checks:
// the reason named is the first that gives the errno.

/// <summary>Says why the model has refused something.</summary>
internal static class IoasDiagnostics
{
    /// <summary>Why large pages could not be switched on or off.</summary>
    public static IoctlDiagnostic Option(IoasModel ioas, Errno errno) => errno == Errno.EADDRINUSE
        ? Failure.Because(DiagnosticReason.UnalignedAreas, overlap: ioas.Table.FirstMisaligned(PageSizes.Page)?.Range)
        : Failure.Because(
            DiagnosticReason.HugePagesInUse,
            about: new ObjectRef(ObjectType.HwptPaging, ioas.Domains.Keys.MinBy(hwpt => hwpt.Value)),
            overlap: ioas.Table.Areas.First().Range);

    /// <summary>Why the caller's memory, or a file, could not be mapped.</summary>
    public static IoctlDiagnostic Map(IoptTable table, Errno errno, IoasMapRequest request, bool isFile)
    {
        var (address, length) = (request.Address, request.Length);
        if (errno == Errno.EBADF)
        {
            return Failure.Because(DiagnosticReason.FileNotOpen);
        }

        // What is wrong with the memory itself comes before its place.
        if (errno == Errno.EOVERFLOW && (isFile ? !IovaRange.TryOfLength(address, length, out _) : address + length < address))
        {
            return Failure.Because(DiagnosticReason.MemoryOverflow, address, length);
        }

        if (errno == Errno.EINVAL && (length == 0 || length > ulong.MaxValue - PageSizes.Page))
        {
            return length == 0 ? Failure.Because(DiagnosticReason.EmptyRange) : Failure.Because(DiagnosticReason.NumberTooLarge, length, ulong.MaxValue - PageSizes.Page);
        }

        // One slice, of which nothing is left but that it can't be pinned.
        var pages = new IoptPages { File = isFile ? new MappedFile("") : null, Start = PageSizes.RoundDown(address), Writable = true };
        return Map(table, errno, request.Flags, request.Iova, [new PagesSlice(pages, PageSizes.OffsetOf(address), length)]);
    }

    /// <summary>Why a dma-buf could not be mapped.</summary>
    public static IoctlDiagnostic MapDmaBuf(IoptTable table, Errno errno, IoasMapRequest request, UserFile file) => errno switch
    {
        Errno.ENODEV => Failure.Because(DiagnosticReason.DmaBufRevoked),
        Errno.EOPNOTSUPP => Failure.Because(DiagnosticReason.DmaBufScattered),
        Errno.EINVAL when IovaRange.TryOfLength(request.Address, request.Length, out var bytes) && file.LengthBytes <= bytes.Last
            => Failure.Because(DiagnosticReason.DmaBufTooShort, bytes.Last + 1, file.LengthBytes),
        _ => Map(table, errno, request, isFile: true),
    };

    /// <summary>Why slices of pages could not be mapped.</summary>
    public static IoctlDiagnostic Map(
        IoptTable table, Errno errno, IommuIoasMapFlags flags, ulong iova, PagesSlice[] slices, PagesSlice? unpinnable = null)
    {
        var length = slices.Aggregate(0UL, (sum, slice) => sum + slice.Length);
        var alignment = table.IovaAlignment;
        var isFixed = flags.HasFlag(IommuIoasMapFlags.FixedIova);
        var fits = IovaRange.TryOfLength(iova, length, out var range);
        return errno switch
        {
            Errno.EEXIST => InTheWay(range, table.FirstArea(range)!.Range),
            Errno.ENOSPC => Failure.Because(DiagnosticReason.NoHole, length, table.LargestHole()),
            Errno.EOVERFLOW when isFixed && !fits => Failure.Because(DiagnosticReason.RangeOverflow, iova, length),
            Errno.EOVERFLOW when !isFixed && length >= ulong.MaxValue / 2 => Failure.Because(DiagnosticReason.TooLongToPlace, length),
            Errno.EOVERFLOW => Failure.Because(DiagnosticReason.MemoryOverflow, slices[0].Address, slices[0].Length),
            Errno.EPERM => Failure.Because(DiagnosticReason.PagesNotWritable, Array.Find(slices, slice => !slice.Pages.Writable).Address),
            Errno.EINVAL when !IsAligned(length, alignment) => Failure.Because(DiagnosticReason.MisalignedLength, length, alignment),
            Errno.EINVAL when isFixed && !IsAligned(iova, alignment) => Failure.Because(DiagnosticReason.Misaligned, iova, alignment),
            Errno.EINVAL when isFixed && table.Reserved.First(range) is { } reserved
                => Failure.Because(DiagnosticReason.ReservedInTheWay, range.Start, range.Last, overlap: reserved),
            Errno.EINVAL when Array.FindIndex(slices, slice => !IsAligned(slice.Address, alignment)) is >= 0 and var index
                => Failure.Because(DiagnosticReason.MisalignedMemory, slices[index].Address, alignment),
            Errno.EINVAL when (flags & (IommuIoasMapFlags.Readable | IommuIoasMapFlags.Writeable)) == 0 => Failure.Because(DiagnosticReason.MappingWithoutAccess, (uint)flags),
            _ => NotPinnable(unpinnable ?? slices[0]),
        };
    }

    /// <summary>Why a range could not be unmapped.</summary>
    public static IoctlDiagnostic NotUnmapped(IoptTable table, Errno errno, ulong iova, ulong length) => errno switch
    {
        Errno.EINVAL => Failure.Because(DiagnosticReason.EmptyRange),
        Errno.EOVERFLOW => NoRange(iova, length),

        // What came before it is unmapped.
        Errno.EBUSY => Failure.Because(DiagnosticReason.AreaLocked, iova, length, overlap: table.AreasFrom(iova).First(area => area.Locks > 0).Range),
        _ when IovaRange.TryOfLength(iova, length, out var range) && table.FirstArea(range) is { } area
            => Failure.Because(DiagnosticReason.AreaReachesOut, iova, length, overlap: area.Range),
        _ => Failure.Because(DiagnosticReason.RangeNotMapped, iova, length, overlap: Nearest(table, iova)),
    };

    /// <summary>Why a range is not mapped throughout.</summary>
    public static IoctlDiagnostic NotMapped(IoptTable table, Errno errno, ulong iova, ulong length)
        => errno == Errno.EINVAL ? Failure.Because(DiagnosticReason.EmptyRange)
            : errno == Errno.EOVERFLOW ? NoRange(iova, length)
            : errno == Errno.ENOMEM ? Failure.Because(DiagnosticReason.TooManyPieces, length, IoptTable.MaxCopyAreas)
            : NotMapped(table, table.FirstGap(iova));

    public static IoctlDiagnostic? IovaRanges(Errno errno, uint room, uint count, ulong writableBytes) => errno switch
    {
        Errno.None => null,
        Errno.EMSGSIZE => Failure.Because(DiagnosticReason.ArrayTooSmall, room, count),
        Errno.ENOMEM => Failure.Because(DiagnosticReason.TooManyRanges, count, IoasModel.MaxRanges),
        _ => Failure.Because(DiagnosticReason.BufferFault, writableBytes, (ulong)Math.Min(room, count) * (ulong)Marshal.SizeOf<IommuIovaRange>()),
    };

    /// <summary>Why a list of ranges could not be allowed.</summary>
    public static IoctlDiagnostic AllowIovas(IoptTable table, Errno errno, uint count, byte[] content)
    {
        if (errno == Errno.EFAULT)
        {
            return Failure.Because(DiagnosticReason.BufferFault, (ulong)content.Length, count * (ulong)Marshal.SizeOf<IommuIovaRange>());
        }

        IovaRange[] ranges = [.. MemoryMarshal.Cast<byte, IommuIovaRange>(content).ToArray().Take((int)Math.Min(count, int.MaxValue)).Select(range => new IovaRange(range.Start, range.Last))];
        if (Array.FindIndex(ranges, range => range.Start >= range.Last) is >= 0 and var index)
        {
            return Failure.Because(DiagnosticReason.InvalidRangeList, ranges[index].Start, ranges[index].Last);
        }

        Array.Sort(ranges, static (left, right) => left.Start.CompareTo(right.Start));
        for (var i = 1; i < ranges.Length && errno == Errno.EINVAL; i++)
        {
            if (ranges[i - 1].Overlaps(ranges[i]))
            {
                return Failure.Because(DiagnosticReason.RangesOverlap, ranges[i - 1].Start, ranges[i - 1].Last, overlap: ranges[i]);
            }
        }

        var refused = Array.Find(ranges, table.Reserved.Overlaps);
        return Failure.Because(DiagnosticReason.ReservedInTheWay, refused.Start, refused.Last, overlap: table.Reserved.First(refused));
    }

    /// <summary>Why a range could not be reserved.</summary>
    public static IoctlDiagnostic Reserve(IoptTable table, IovaRange range) => table.FirstArea(range) is { } area
        ? InTheWay(range, area.Range)
        : Failure.Because(DiagnosticReason.AllowedInTheWay, range.Start, range.Last, overlap: table.Allowed.First(range));

    /// <summary>Why a change by a device, a page table or an access failed.</summary>
    public static IoctlDiagnostic Change(IoasModel ioas, IoasChange change, Errno errno, PinLook look) => change switch
    {
        // Flags alone are tried again: where they will do, it is the data that won't.
        AllocateDomain { Data: { } data } allocate
            when IommuDriver.Of(allocate.Device).AllocateDomain(allocate.Device, allocate.Flags, null, out _) == Errno.None
            => Failure.Data(errno, (uint)data.Type, data.Length, (ulong)data.Content.Length),
        AllocateDomain allocate => Failure.Because(DiagnosticReason.IommuLacksFeature, (uint)allocate.Flags),
        AttachToDomain { Pasid: var pasid, Device.PasidWidth: var width } when pasid >> width != 0
            => Failure.Because(DiagnosticReason.NoSuchPasid, pasid, (ulong)width),
        AttachToDomain attach => Failure.Because(DiagnosticReason.DeviceIncompatible, about: new ObjectRef(ObjectType.HwptPaging, attach.Hwpt)),
        AddDomain add => Domain(ioas.Table, ioas.Domains[add.Hwpt], errno, look),
        ReserveRegions reserve => Reserve(ioas.Table, Array.Find(reserve.Regions, region => IsInTheWay(ioas.Table, region))),
        JoinDomain join => Failure.Because(DiagnosticReason.ObjectUnreachable, about: new ObjectRef(ObjectType.HwptPaging, join.Hwpt)),
        _ => Failure.Because(DiagnosticReason.AreasMisaligned, limit: PageSizes.Page, overlap: ioas.Table.FirstMisaligned(PageSizes.Page)?.Range),
    };

    /// <summary>Why an access could not pin or copy.</summary>
    /// <param name="table">The table.</param>
    /// <param name="errno">The errno.</param>
    /// <param name="iova">The first IOVA.</param>
    /// <param name="length">Bytes.</param>
    /// <param name="stop">The first IOVA that is refused, or not mapped.</param>
    /// <param name="isPin">Whether it was to pin: whole pages then.</param>
    public static IoctlDiagnostic Access(IoptTable table, Errno errno, ulong iova, ulong length, ulong stop, bool isPin)
    {
        if (errno == Errno.ENOENT && table.FirstArea(new IovaRange(stop, stop)) is { Pages.IsRevoked: true } revoked)
        {
            return Failure.Because(DiagnosticReason.DmaBufRevoked, stop, overlap: revoked.Range);
        }

        if (errno is Errno.EOVERFLOW or Errno.ENOENT || length == 0)
        {
            return NotMapped(table, errno, iova, length);
        }

        if (errno == Errno.ENOMEM)
        {
            return Failure.Because(DiagnosticReason.TooManyPieces, length, IoctlLimits.MaxAccessPieces);
        }

        var area = table.FirstArea(new IovaRange(stop, stop))!;
        var rest = length - (stop - iova);
        var slice = new PagesSlice(area.Pages, area.StartByteOf(stop), Math.Min(area.Range.Last - stop, rest - 1) + 1);
        return errno switch
        {
            Errno.EPERM => Failure.Because(DiagnosticReason.AccessDenied, stop, overlap: area.Range),
            Errno.EINVAL when area.Pages.IsDmaBuf => Failure.Because(DiagnosticReason.DmaBufNotAccessible, slice.Address, overlap: area.Range),
            Errno.EINVAL when isPin && !IsAligned(slice.Address, PageSizes.Page) => Failure.Because(DiagnosticReason.MisalignedMemory, slice.Address, PageSizes.Page),
            Errno.EINVAL when isPin && slice.Length < rest && !IsAligned(slice.Length, PageSizes.Page)
                => Failure.Because(DiagnosticReason.MisalignedLength, slice.Length, PageSizes.Page),
            _ => NotPinnable(slice, area.Range),
        };
    }

    /// <summary>Why the memory behind IOVAs is not what was expected.</summary>
    /// <param name="table">The table.</param>
    /// <param name="errno">The errno.</param>
    /// <param name="iova">The first IOVA that leads elsewhere.</param>
    /// <param name="length">Bytes that were expected.</param>
    /// <param name="expected">What was expected.</param>
    public static IoctlDiagnostic Other(IoptTable table, Errno errno, ulong iova, ulong length, ExpectedMemory expected)
        => errno == Errno.EFAULT ? Failure.Because(DiagnosticReason.BufferFault, expected.ReadableBytes, length)
            : table.FirstArea(new IovaRange(iova, iova)) is null ? NotMapped(table, iova)
            : Failure.Because(DiagnosticReason.UnexpectedPages, iova);

    /// <summary>Why dirty pages could not be tracked, or read.</summary>
    public static IoctlDiagnostic Dirty(IoptTable table, Errno errno, DirtyRange range)
    {
        var (alignment, pageSize) = (table.IovaAlignment, range.PageSize);
        return errno switch
        {
            Errno.EOPNOTSUPP => Failure.Because(DiagnosticReason.DirtyTrackingUnsupported, about: new ObjectRef(ObjectType.HwptPaging, range.Hwpt)),
            Errno.EOVERFLOW when range.Length == 0 => Failure.Because(DiagnosticReason.EmptyRange),
            Errno.EOVERFLOW => NoRange(range.Iova, range.Length),
            Errno.ENOMEM => Failure.Because(DiagnosticReason.BitmapTooLarge, range.Length, IoctlLimits.MaxBufferBytes),
            _ when IsAligned(range.Iova | range.Length, alignment) && !BitOperations.IsPow2(pageSize) => Failure.Because(DiagnosticReason.InvalidPageSize, pageSize),
            _ => Misaligned(range.Iova, range.Length, IsAligned(range.Iova | range.Length, alignment) ? pageSize : alignment),
        };
    }

    /// <summary>Which of IOVA and length is not aligned: the IOVA, if both are not.</summary>
    public static IoctlDiagnostic Misaligned(ulong iova, ulong length, ulong alignment) => iova % alignment != 0
        ? Failure.Because(DiagnosticReason.Misaligned, iova, alignment)
        : Failure.Because(DiagnosticReason.MisalignedLength, length, alignment);

    /// <summary>Which of length and address of expected memory is wrong: misaligned, or past the end.</summary>
    public static IoctlDiagnostic NoMemory(ulong address, ulong length, ulong alignment)
        => !IsAligned(length, alignment) ? Failure.Because(DiagnosticReason.MisalignedLength, length, alignment)
            : !IsAligned(address, alignment) ? Failure.Because(DiagnosticReason.MisalignedMemory, address, alignment)
            : Failure.Because(DiagnosticReason.MemoryOverflow, address, length);

    /// <summary>Whether a number is a multiple of a power of two.</summary>
    public static bool IsAligned(ulong number, ulong alignment) => (number & (alignment - 1)) == 0;

    private static IoctlDiagnostic Domain(IoptTable table, IommuDomain domain, Errno errno, PinLook look)
    {
        if (errno != Errno.EADDRINUSE)
        {
            // Anything else is a bug, which no command provokes.
            return look.Unpinnable is var (slice, mapped) ? NotPinnable(slice, mapped)
                : errno == Errno.EINVAL && table.FirstInaccessible() is { } forbidden ? Failure.Because(DiagnosticReason.AreaWithoutAccess, overlap: forbidden.Range)
                : Failure.Because(DiagnosticReason.None);
        }

        if (domain.PageSize > table.IovaAlignment && table.FirstMisaligned(domain.PageSize) is { } misaligned)
        {
            return Failure.Because(DiagnosticReason.AreasMisaligned, limit: domain.PageSize, overlap: misaligned.Range);
        }

        var outside = domain.Outside.First(range => IsInTheWay(table, range));
        var (first, last) = (domain.Aperture.Start, domain.Aperture.Last);
        return table.FirstArea(outside) is { } area
            ? Failure.Because(DiagnosticReason.OutsideAperture, first, last, overlap: area.Range)
            : Failure.Because(DiagnosticReason.AllowedOutsideAperture, first, last, overlap: table.Allowed.First(outside));
    }

    private static IoctlDiagnostic InTheWay(IovaRange range, IovaRange area)
        => Failure.Because(DiagnosticReason.AreaInTheWay, range.Start, range.Last, overlap: area);

    private static IoctlDiagnostic NotPinnable(PagesSlice slice, IovaRange? mapped = null) => Failure.Because(
        slice.Pages.File is null ? DiagnosticReason.MemoryNotPinnable : DiagnosticReason.FileNotPinnable, slice.Address, slice.Length, overlap: mapped);

    private static IoctlDiagnostic NotMapped(IoptTable table, ulong iova) => Failure.Because(DiagnosticReason.IovaNotMapped, iova, overlap: Nearest(table, iova));

    // 2^64 - 1 is no number that a range can have.
    private static IoctlDiagnostic NoRange(ulong iova, ulong length) => Math.Max(iova, length) == ulong.MaxValue && IovaRange.TryOfLength(iova, length, out _)
        ? Failure.Because(DiagnosticReason.NumberTooLarge, ulong.MaxValue, ulong.MaxValue - 1)
        : Failure.Because(DiagnosticReason.RangeOverflow, iova, length);

    private static bool IsInTheWay(IoptTable table, IovaRange range) => table.FirstArea(range) is not null || table.Allowed.Overlaps(range);

    private static IovaRange? Nearest(IoptTable table, ulong iova)
    {
        var (below, above) = (table.AreaBelow(iova)?.Range, table.AreaAbove(iova)?.Range);
        return below is { } lower && above is { } upper ? (iova - lower.Last <= upper.Start - iova ? lower : upper) : below ?? above;
    }
}
