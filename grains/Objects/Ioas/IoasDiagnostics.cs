using System.Runtime.InteropServices;
using IommuFd.GrainInterfaces;
using IommuFd.Grains.IoPagetable;
using IommuFd.Uapi;

namespace IommuFd.Grains.Objects.Ioas;

/// <summary>Says why the model has refused something: for people, after the errno is decided, and without a part in deciding it.</summary>
internal static class IoasDiagnostics
{
    public static IoctlDiagnostic Option(Errno errno, ulong value) => errno == Errno.EADDRINUSE
        ? new IoctlDiagnostic { Reason = DiagnosticReason.UnalignedAreas }
        : new IoctlDiagnostic { Reason = DiagnosticReason.InvalidOptionValue, Value = value };

    /// <summary>Why something could not be mapped.</summary>
    public static IoctlDiagnostic Map(IoptTable table, Errno errno, IommuIoasMapFlags flags, ulong iova, ulong length)
    {
        var fixedIova = flags.HasFlag(IommuIoasMapFlags.FixedIova);
        var fits = IovaRange.TryOfLength(iova, Math.Max(length, 1), out var range);
        return errno switch
        {
            Errno.EEXIST => new() { Reason = DiagnosticReason.AreaInTheWay, Value = iova, Overlap = table.FirstArea(range)?.Range },
            Errno.ENOSPC => new() { Reason = DiagnosticReason.NoHole, Value = length, Limit = table.LargestHole() },
            Errno.EOVERFLOW => new() { Reason = DiagnosticReason.RangeOverflow, Value = iova, Limit = length },
            Errno.EPERM => new() { Reason = DiagnosticReason.PagesNotWritable },
            Errno.EBADF => new() { Reason = DiagnosticReason.FileNotOpen },
            _ when length == 0 => new() { Reason = DiagnosticReason.EmptyRange },
            _ when fixedIova && fits && table.Reserved.First(range) is { } reserved
                => new() { Reason = DiagnosticReason.ReservedInTheWay, Value = iova, Overlap = reserved },
            _ => new()
            {
                Reason = DiagnosticReason.Misaligned,
                Value = (length & (table.IovaAlignment - 1)) != 0 ? length : iova,
                Limit = table.IovaAlignment,
            },
        };
    }

    /// <summary>Why a range could not be unmapped or copied: what is mapped near it.</summary>
    public static IoctlDiagnostic NotMapped(IoptTable table, Errno errno, ulong iova, ulong length) => errno switch
    {
        Errno.EINVAL => new() { Reason = DiagnosticReason.EmptyRange },
        Errno.EOVERFLOW => new() { Reason = DiagnosticReason.RangeOverflow, Value = iova, Limit = length },
        _ => new() { Reason = DiagnosticReason.RangeNotMapped, Value = iova, Limit = length, Overlap = Nearest(table, iova, length) },
    };

    public static IoctlDiagnostic? IovaRanges(Errno errno, uint room, uint count, ulong writableBytes) => errno switch
    {
        Errno.None => null,
        Errno.EMSGSIZE => new() { Reason = DiagnosticReason.ArrayTooSmall, Value = room, Limit = count },
        _ => new() { Reason = DiagnosticReason.BufferFault, Value = writableBytes, Limit = (ulong)Math.Min(room, count) * (ulong)Marshal.SizeOf<IommuIovaRange>() },
    };

    public static IoctlDiagnostic AllowIovas(Errno errno, uint count, byte[] content) => errno switch
    {
        Errno.EFAULT => new()
        {
            Reason = DiagnosticReason.BufferFault,
            Value = (ulong)content.Length,
            Limit = count * (ulong)Marshal.SizeOf<IommuIovaRange>(),
        },
        Errno.EADDRINUSE => new() { Reason = DiagnosticReason.ReservedInTheWay },
        _ => new() { Reason = DiagnosticReason.InvalidRangeList },
    };

    /// <summary>Why a range could not be reserved.</summary>
    public static IoctlDiagnostic Reserve(IoptTable table, IovaRange range) => table.FirstArea(range) is { } area
        ? new() { Reason = DiagnosticReason.AreaInTheWay, Value = range.Start, Overlap = area.Range }
        : new() { Reason = DiagnosticReason.AllowedInTheWay, Overlap = range };

    /// <summary>Why a change by a device, a page table or an access failed.</summary>
    public static IoctlDiagnostic Change(IoasModel ioas, IoasChange change, Errno errno) => change switch
    {
        AllocateDomain allocate => new() { Reason = DiagnosticReason.IommuLacksFeature, Value = (uint)allocate.Flags },
        AttachToDomain attach => new() { Reason = DiagnosticReason.DeviceIncompatible, ObjectId = attach.Hwpt, ObjectType = ObjectType.HwptPaging },
        AddDomain add => Domain(ioas.Table, ioas.Domains[add.Hwpt], errno),
        ReserveRegions reserve => Reserve(ioas.Table, Array.Find(reserve.Regions, region => IsInTheWay(ioas.Table, region))),
        _ => new() { Reason = DiagnosticReason.AreasMisaligned, Limit = PageSizes.Page },
    };

    /// <summary>Why an access could not pin or copy.</summary>
    public static IoctlDiagnostic Access(IoptTable table, Errno errno, ulong iova, ulong length) => errno switch
    {
        Errno.EPERM => new() { Reason = DiagnosticReason.AccessDenied, Value = iova },
        Errno.EBADE => new() { Reason = DiagnosticReason.UnexpectedPages, Value = iova },
        Errno.EFAULT => new() { Reason = DiagnosticReason.MemoryNotPinnable, Overlap = table.FirstArea(new IovaRange(iova, iova))?.Range },
        Errno.EINVAL when length > 0 => new() { Reason = DiagnosticReason.Misaligned, Value = iova, Limit = PageSizes.Page },
        _ => NotMapped(table, errno, iova, length),
    };

    public static IoctlDiagnostic Dirty(IoptTable table, Errno errno, DirtyRange range) => errno switch
    {
        Errno.EOPNOTSUPP => new() { Reason = DiagnosticReason.DirtyTrackingUnsupported, ObjectId = range.Hwpt, ObjectType = ObjectType.HwptPaging },
        Errno.EOVERFLOW => new() { Reason = DiagnosticReason.RangeOverflow, Value = range.Iova, Limit = range.Length },
        Errno.ENOMEM => new() { Reason = DiagnosticReason.RequestTooLarge, Value = range.Length, Limit = IoctlLimits.MaxBufferBytes },
        _ => new() { Reason = DiagnosticReason.InvalidDirtyRange, Value = range.Iova, Limit = Math.Max(table.IovaAlignment, range.PageSize) },
    };

    private static IoctlDiagnostic Domain(IoptTable table, IommuDomain domain, Errno errno)
    {
        if (errno != Errno.EADDRINUSE)
        {
            return new() { Reason = DiagnosticReason.MemoryNotPinnable, Overlap = table.FirstUnpinnable()?.Range };
        }

        foreach (var outside in domain.Outside.Where(range => IsInTheWay(table, range)))
        {
            return new() { Reason = DiagnosticReason.OutsideAperture, Overlap = outside };
        }

        return new() { Reason = DiagnosticReason.AreasMisaligned, Limit = domain.PageSize };
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
