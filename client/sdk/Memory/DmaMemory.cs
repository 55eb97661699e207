using System.Runtime.InteropServices;

namespace IommuFd.Client;

/// <summary>Memory that devices can be let at. An IOMMU maps whole pages, which ordinary arrays don't start at.</summary>
public static class DmaMemory
{
    /// <summary>Bytes of a page: what Linux on x86-64 maps by, and no emulated IOMMU's page is larger.</summary>
    public const int PageSizeBytes = 4096;

    /// <summary>Allocates zeroed memory that starts at a page. It never moves, and is freed like any other when nobody refers to it any more.</summary>
    /// <param name="lengthBytes">Bytes, at least 1; of whole pages, if an IOMMU is to map it.</param>
    /// <returns>The memory.</returns>
    /// <exception cref="ArgumentOutOfRangeException">The length is not positive, or too large for one array.</exception>
    public static Memory<byte> Allocate(int lengthBytes)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(lengthBytes);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(lengthBytes, Array.MaxLength - PageSizeBytes);
        var array = GC.AllocateArray<byte>(lengthBytes + PageSizeBytes, pinned: true);
        var address = (ulong)Marshal.UnsafeAddrOfPinnedArrayElement(array, 0);
        return array.AsMemory((int)((0 - address) % PageSizeBytes), lengthBytes);
    }
}
