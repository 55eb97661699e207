namespace IommuFd.Grains.IoPagetable;

/// <summary>The page sizes that the rules use: the machine's (x86-64), not an IOMMU's.</summary>
internal static class PageSizes
{
    /// <summary>PAGE_SIZE: the unit of pinning. An automatic IOVA keeps its memory's offset in a page.</summary>
    public const ulong Page = 4096;

    /// <summary>HPAGE_SIZE: no automatic IOVA is aligned further than a huge page needs.</summary>
    public const ulong Huge = 2 << 20;

    public static ulong RoundDown(ulong address) => address & ~(Page - 1);

    public static ulong OffsetOf(ulong address) => address & (Page - 1);
}
