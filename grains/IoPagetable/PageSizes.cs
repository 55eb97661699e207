namespace IommuFd.Grains.IoPagetable;

/// <summary>The page sizes that the rules speak of. They are the machine's (x86-64), not those of an IOMMU.</summary>
internal static class PageSizes
{
    /// <summary>PAGE_SIZE: what memory is pinned in, and what an IOVA keeps of its memory's offset.</summary>
    public const ulong Page = 4096;

    /// <summary>HPAGE_SIZE: no automatic IOVA is aligned further than a huge page needs.</summary>
    public const ulong Huge = 2 << 20;

    public static ulong RoundDown(ulong address) => address & ~(Page - 1);

    public static ulong OffsetOf(ulong address) => address & (Page - 1);
}
