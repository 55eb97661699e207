using System.Runtime.InteropServices;
using IommuFd.GrainInterfaces;
using IommuFd.Grains.IoPagetable;
using IommuFd.Grains.Model;
using IommuFd.Uapi;

namespace IommuFd.Grains.Objects.Ioas;

/// <summary>Says why the model has refused something: for people, after the errno is decided, and without a part in deciding it.</summary>
internal static class IoasDiagnostics
{
    public static IoctlDiagnostic Option(Errno errno, ulong value) => errno == Errno.EADDRINUSE
        ? Failure.Because(DiagnosticReason.UnalignedAreas)
        : Failure.Because(DiagnosticReason.InvalidOptionValue, value);

    /// <summary>Why something could not be mapped.</summary>
    public static IoctlDiagnostic Map(IoptTable table, Errno errno, IommuIoasMapFlags flags, ulong iova, ulong length)
    {
        var fixedIova = flags.HasFlag(IommuIoasMapFlags.FixedIova);
        var fits = IovaRange.TryOfLength(iova, Math.Max(length, 1), out var range);
        return errno switch
        {
            Errno.EEXIST => Failure.Because(DiagnosticReason.AreaInTheWay, iova, overlap: table.FirstArea(range)?.Range),
            Errno.ENOSPC => Failure.Because(DiagnosticReason.NoHole, length, table.LargestHole()),
            Errno.EOVERFLOW => Failure.Because(DiagnosticReason.RangeOverflow, iova, length),
            Errno.EPERM => Failure.Because(DiagnosticReason.PagesNotWritable),
            Errno.EBADF => Failure.Because(DiagnosticReason.FileNotOpen),
            _ when length == 0 => Failure.Because(DiagnosticReason.EmptyRange),
            _ when fixedIova && fits && table.Reserved.First(range) is { } reserved
                => Failure.Because(DiagnosticReason.ReservedInTheWay, iova, overlap: reserved),
            _ => Failure.Because(DiagnosticReason.Misaligned, (length & (table.IovaAlignment - 1)) != 0 ? length : iova, table.IovaAlignment),
        };
    }

    /// <summary>Why a range could not be unmapped or copied: what is mapped near it.</summary>
    public static IoctlDiagnostic NotMapped(IoptTable table, Errno errno, ulong iova, ulong length) => errno switch
    {
        Errno.ENOMEM => Failure.Because(DiagnosticReason.TooManyPieces, length, IoptTable.MaxCopyAreas),
        Errno.EINVAL => Failure.Because(DiagnosticReason.EmptyRange),
        Errno.EOVERFLOW => Failure.Because(DiagnosticReason.RangeOverflow, iova, length),
        Errno.EBUSY => Failure.Because(DiagnosticReason.AreaLocked, iova, length, overlap: table.AreasFrom(iova).FirstOrDefault(area => area.Locks > 0)?.Range),
        _ => Failure.Because(DiagnosticReason.RangeNotMapped, iova, length, overlap: Nearest(table, iova, length)),
    };

    public static IoctlDiagnostic? IovaRanges(Errno errno, uint room, uint count, ulong writableBytes) => errno switch
    {
        Errno.None => null,
        Errno.EMSGSIZE => Failure.Because(DiagnosticReason.ArrayTooSmall, room, count),
        Errno.ENOMEM => Failure.Because(DiagnosticReason.TooManyRanges, count, IoasModel.MaxRanges),
        _ => Failure.Because(DiagnosticReason.BufferFault, writableBytes, (ulong)Math.Min(room, count) * (ulong)Marshal.SizeOf<IommuIovaRange>()),
    };

    public static IoctlDiagnostic AllowIovas(Errno errno, uint count, byte[] content) => errno switch
    {
        Errno.EFAULT => Failure.Because(DiagnosticReason.BufferFault, (ulong)content.Length, count * (ulong)Marshal.SizeOf<IommuIovaRange>()),
        Errno.EADDRINUSE => Failure.Because(DiagnosticReason.ReservedInTheWay),
        _ => Failure.Because(DiagnosticReason.InvalidRangeList),
    };

    /// <summary>Why a range could not be reserved.</summary>
    public static IoctlDiagnostic Reserve(IoptTable table, IovaRange range) => table.FirstArea(range) is { } area
        ? Failure.Because(DiagnosticReason.AreaInTheWay, range.Start, overlap: area.Range)
        : Failure.Because(DiagnosticReason.AllowedInTheWay, overlap: range);

    /// <summary>Why a change by a device, a page table or an access failed.</summary>
    public static IoctlDiagnostic Change(IoasModel ioas, IoasChange change, Errno errno) => change switch
    {
        AllocateDomain allocate => Failure.Because(DiagnosticReason.IommuLacksFeature, (uint)allocate.Flags),
        AttachToDomain attach => Failure.Because(DiagnosticReason.DeviceIncompatible, about: new ObjectRef(ObjectType.HwptPaging, attach.Hwpt)),
        AddDomain add => Domain(ioas.Table, ioas.Domains[add.Hwpt], errno),
        ReserveRegions reserve => Reserve(ioas.Table, Array.Find(reserve.Regions, region => IsInTheWay(ioas.Table, region))),
        _ => Failure.Because(DiagnosticReason.AreasMisaligned, limit: PageSizes.Page),
    };

    /// <summary>Why an access could not pin or copy.</summary>
    public static IoctlDiagnostic Access(IoptTable table, Errno errno, ulong iova, ulong length) => errno switch
    {
        Errno.EPERM => Failure.Because(DiagnosticReason.AccessDenied, iova),
        Errno.EBADE => Failure.Because(DiagnosticReason.UnexpectedPages, iova),
        Errno.ENOMEM => Failure.Because(DiagnosticReason.TooManyPieces, length, IoctlLimits.MaxAccessPieces),
        Errno.EFAULT => Failure.Because(DiagnosticReason.MemoryNotPinnable, overlap: table.FirstArea(new IovaRange(iova, iova))?.Range),
        Errno.EINVAL when length > 0 => Failure.Because(DiagnosticReason.Misaligned, iova, PageSizes.Page),
        _ => NotMapped(table, errno, iova, length),
    };

    public static IoctlDiagnostic Dirty(IoptTable table, Errno errno, DirtyRange range) => errno switch
    {
        Errno.EOPNOTSUPP => Failure.Because(DiagnosticReason.DirtyTrackingUnsupported, about: new ObjectRef(ObjectType.HwptPaging, range.Hwpt)),
        Errno.EOVERFLOW => Failure.Because(DiagnosticReason.RangeOverflow, range.Iova, range.Length),
        Errno.ENOMEM => Failure.Because(DiagnosticReason.RequestTooLarge, range.Length, IoctlLimits.MaxBufferBytes),
        _ => Failure.Because(DiagnosticReason.InvalidDirtyRange, range.Iova, Math.Max(table.IovaAlignment, range.PageSize)),
    };

    private static IoctlDiagnostic Domain(IoptTable table, IommuDomain domain, Errno errno)
    {
        if (errno != Errno.EADDRINUSE)
        {
            return Failure.Because(DiagnosticReason.MemoryNotPinnable, overlap: table.FirstUnpinnable()?.Range);
        }

        foreach (var outside in domain.Outside.Where(range => IsInTheWay(table, range)))
        {
            return Failure.Because(DiagnosticReason.OutsideAperture, overlap: outside);
        }

        return Failure.Because(DiagnosticReason.AreasMisaligned, limit: domain.PageSize);
    }

    private static bool IsInTheWay(IoptTable table, IovaRange range) => table.FirstArea(range) is not null || table.Allowed.Overlaps(range);

    private static IovaRange? Nearest(IoptTable table, ulong iova, ulong length)
    {
        var inside = IovaRange.TryOfLength(iova, Math.Max(length, 1), out var range) ? table.FirstArea(range) : null;
        if (inside is not null)
        {
            return inside.Range;
        }

        var (below, above) = (table.AreaBelow(iova)?.Range, table.AreaAbove(iova)?.Range);
        return below is { } lower && above is { } upper ? (iova - lower.Last <= upper.Start - iova ? lower : upper) : below ?? above;
    }
}
