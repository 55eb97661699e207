using IommuFd.GrainInterfaces;
using IommuFd.Grains.IoPagetable;
using IommuFd.Grains.Objects.Ioas;
using IommuFd.Uapi;

namespace IommuFd.UnitTests.IoPagetable;

// Short words for the tests that spell out one rule each.

internal static class IoasFixture
{
    public const ulong Page = 4096;
    public const ulong Memory = 0x7000_0000_1000;
    public const IommuIoasMapFlags ReadWrite = IommuIoasMapFlags.Readable | IommuIoasMapFlags.Writeable;
    public const IommuIoasMapFlags Fixed = IommuIoasMapFlags.FixedIova | ReadWrite;

    /// <summary>Maps memory that is all there at a fixed IOVA.</summary>
    public static Errno MapAt(this IoasModel ioas, ulong iova, ulong length = Page, ulong address = Memory, IommuIoasMapFlags flags = Fixed)
        => ioas.Map(flags, address, length, length, length, ref iova);

    /// <summary>Maps memory that is all there at an IOVA that the IOAS chooses.</summary>
    public static Errno MapAnywhere(this IoasModel ioas, ulong address, ulong length, out ulong iova)
    {
        iova = 0;
        return ioas.Map(ReadWrite, address, length, length, length, ref iova);
    }

    public static Errno UnmapAt(this IoasModel ioas, ulong iova, ulong length, out ulong unmapped)
    {
        unmapped = length;
        return ioas.Unmap(iova, ref unmapped);
    }

    public static Errno Reserve(this IoasModel ioas, ulong start, ulong last, object? owner = null) => ioas.Table.Reserve(new IovaRange(start, last), owner);

    public static Errno Allow(this IoasModel ioas, params (ulong Start, ulong Last)[] ranges)
        => ioas.AllowIovas((uint)ranges.Length, Bytes(ranges));

    public static byte[] Bytes(params (ulong Start, ulong Last)[] ranges)
        => [.. ranges.SelectMany(range => BitConverter.GetBytes(range.Start).Concat(BitConverter.GetBytes(range.Last)))];

    /// <summary>Copies between two IOAS, or within one.</summary>
    public static Errno Copy(this IoasModel source, ulong iova, ulong length, IoasModel destination, ulong destinationIova, IommuIoasMapFlags flags = Fixed)
    {
        var slices = new List<PagesSlice>();
        var errno = source.GetPages(iova, length, slices);
        return errno == Errno.None ? destination.MapPages(flags, slices.ToArray(), ref destinationIova) : errno;
    }

    public static string Areas(this IoasModel ioas)
    {
        ioas.Table.Validate();
        return string.Join(' ', ioas.Table.Areas.Select(area => $"{area.Range.Start:x}-{area.Range.Last:x}"));
    }

    public static void Ok(Errno errno) => Assert.Equal(Errno.None, errno);
}
