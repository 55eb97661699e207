using System.Runtime.InteropServices;
using IommuFd.Uapi;

namespace IommuFd.Linearizability;

// A history has the ioctls, not the memory that they point to. So what they point to is constant: each caller has these bytes at this address, the service reads
// them from there, and the specification from here.

/// <summary>The structs that ioctls point to: a page of each caller's memory, the same for all, which nothing maps and nothing writes.</summary>
internal static class CallerStructs
{
    /// <summary>The page's address.</summary>
    public const ulong Address = 0x20_0000;

    /// <summary>The guest's ids of devices are 1 to this one.</summary>
    public const uint VirtIds = 2;

    private const int Bytes = 4096;
    private const int Section = 1024;

    // The last is for a page table of a format that is not there, which only nested ones don't care about.
    private static readonly IommuHwptSelftest[] HwptData =
    [
        new() { Iotlb = 0x1107B0 },
        new() { Iotlb = 0x1107B1 },
        new() { Iotlb = 0x1107B2, PagetableType = 2 },
    ];

    // In between are an entry that there is no cache for, and one with an unknown flag.
    private static readonly IommuHwptInvalidateSelftest[] HwptEntries =
    [
        new() { IotlbId = 0 },
        new() { IotlbId = 1 },
        new() { IotlbId = 2 },
        new() { IotlbId = 3 },
        new() { Flags = (uint)IommuTestInvalidateFlags.All },
        new() { IotlbId = 0 },
        new() { IotlbId = 4 },
        new() { IotlbId = 1 },
        new() { Flags = 2, IotlbId = 2 },
        new() { IotlbId = 3 },
    ];

    private static readonly IommuViommuInvalidateSelftest[] ViommuEntries =
    [
        new() { VdevId = 1, CacheId = 0 },
        new() { VdevId = 1, CacheId = 1 },
        new() { VdevId = 1, Flags = (uint)IommuTestInvalidateFlags.All },
        new() { VdevId = 2, CacheId = 2 },
        new() { VdevId = 2, CacheId = 3 },
        new() { VdevId = 2, Flags = (uint)IommuTestInvalidateFlags.All },
        new() { VdevId = 1, CacheId = 4 },
        new() { VdevId = 2, CacheId = 0 },
        new() { VdevId = 1, Flags = 2 },
    ];

    private static readonly byte[] Page = Build();

    /// <summary>The number of structs of a kind.</summary>
    public static int CountOf<T>()
        where T : unmanaged
        => ArrayOf<T>().Length;

    /// <summary>The address of one of the structs of a kind; the next follow.</summary>
    public static ulong AddressOf<T>(int index)
        where T : unmanaged
        => Address + (ulong)(SectionOf<T>() + (index * Marshal.SizeOf<T>()));

    /// <summary>A copy of the page.</summary>
    public static byte[] ToArray() => [.. Page];

    /// <summary>The bytes at an address.</summary>
    /// <exception cref="NotSupportedException">They are not all in the page.</exception>
    public static ReadOnlySpan<byte> Read(ulong address, ulong length) => address >= Address && length <= Bytes && address - Address <= Bytes - length
        ? Page.AsSpan((int)(address - Address), (int)length)
        : throw new NotSupportedException($"There is nothing known of {length} bytes at 0x{address:X}.");

    private static byte[] Build()
    {
        var page = new byte[Bytes];
        Put<IommuHwptSelftest>();
        Put<IommuHwptInvalidateSelftest>();
        Put<IommuViommuInvalidateSelftest>();
        return page;

        void Put<T>()
            where T : unmanaged
            => MemoryMarshal.AsBytes(ArrayOf<T>().AsSpan()).CopyTo(page.AsSpan(SectionOf<T>(), Section));
    }

    private static T[] ArrayOf<T>() => (T[])(object)(default(T) switch
    {
        IommuHwptSelftest => HwptData,
        IommuHwptInvalidateSelftest => HwptEntries,
        _ => ViommuEntries,
    });

    private static int SectionOf<T>() => default(T) switch
    {
        IommuHwptSelftest => 0,
        IommuHwptInvalidateSelftest => Section,
        _ => 2 * Section,
    };
}
