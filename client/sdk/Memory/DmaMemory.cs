using System.Runtime.InteropServices;

namespace IommuFd.Client;

/// <summary>Memory for DMA. An IOMMU maps whole pages, and ordinary arrays do not start at a page.</summary>
public static class DmaMemory
{
    /// <summary>The size of a page in bytes: that of Linux on x86-64. No emulated IOMMU has larger ones.</summary>
    public const int PageSizeBytes = 4096;

    /// <summary>Allocates zeroed memory that starts at a page. The garbage collector never moves it, and frees it like any other memory.</summary>
    /// <param name="lengthBytes">How many bytes, at least 1. For an IOMMU to map the memory, they must be whole pages.</param>
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
