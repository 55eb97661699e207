using IommuFd.GrainInterfaces;
using IommuFd.Grains.Calls;
using IommuFd.Grains.IoPagetable;
using IommuFd.Grains.Model;
using IommuFd.Uapi;

namespace IommuFd.Grains.Objects.Ioas;

/// <summary>
/// An IO address space. Each method is the part of a command that the kernel runs with the IOAS at hand; what is checked before the look-up, the context
/// has checked.
/// </summary>
[Alias("IommuFd.IIoasGrain")]
internal interface IIoasGrain : IObjectGrain
{
    /// <summary><c>IOMMU_OPTION_HUGE_PAGES</c>.</summary>
    /// <param name="stamp">The life that is meant.</param>
    /// <param name="op">Get or set.</param>
    /// <param name="value">The value to set: 0 or 1.</param>
    /// <returns>The value; EADDRINUSE where large pages can't be forbidden because an area is not aligned to pages.</returns>
    [Alias("HugePages")]
    ValueTask<ObjectReply> HugePagesAsync(ObjectStamp stamp, IommuOptionOp op, ulong value);

    /// <summary><c>IOMMU_IOAS_MAP</c>.</summary>
    /// <param name="stamp">The life that is meant.</param>
    /// <param name="request">What to map and how.</param>
    /// <param name="facts">Whether the memory is charged, where a domain pins it.</param>
    /// <returns>The first IOVA; EAGAIN where the memory must be charged first.</returns>
    [Alias("Map")]
    ValueTask<PinReply> MapAsync(ObjectStamp stamp, IoasMapRequest request, PinFacts facts = default);

    /// <summary><c>IOMMU_IOAS_MAP_FILE</c>.</summary>
    /// <param name="stamp">The life that is meant.</param>
    /// <param name="request">What to map and how.</param>
    /// <param name="file">The open file; null for a descriptor that isn't open.</param>
    /// <param name="facts">Whether the file's pages are charged, where a domain pins them.</param>
    /// <returns>The first IOVA; EAGAIN where they must be charged first.</returns>
    [Alias("MapFile")]
    ValueTask<PinReply> MapFileAsync(ObjectStamp stamp, IoasMapRequest request, UserFile? file, PinFacts facts = default);

    /// <summary><c>IOMMU_IOAS_UNMAP</c>.</summary>
    /// <param name="stamp">The life that is meant.</param>
    /// <param name="iova">The first IOVA.</param>
    /// <param name="length">Bytes; 2^64 - 1 from IOVA 0 on is everything.</param>
    /// <returns>Bytes unmapped.</returns>
    [Alias("Unmap")]
    ValueTask<PinReply> UnmapAsync(ObjectStamp stamp, ulong iova, ulong length);

    /// <summary><c>VFIO_IOMMU_UNMAP_DMA</c>.</summary>
    /// <param name="stamp">The life that is meant.</param>
    /// <param name="iova">The first IOVA.</param>
    /// <param name="length">Bytes.</param>
    /// <param name="all">Whether everything is unmapped instead; both numbers must be 0 then.</param>
    /// <returns>Bytes unmapped, also where it fails on the way; where it fails before, the length.</returns>
    [Alias("UnmapCompat")]
    ValueTask<ObjectReply> UnmapCompatAsync(ObjectStamp stamp, ulong iova, ulong length, bool all);

    /// <summary>The source's part of <c>IOMMU_IOAS_COPY</c>.</summary>
    /// <param name="stamp">The life that is meant.</param>
    /// <param name="iova">The first IOVA.</param>
    /// <param name="length">Bytes.</param>
    /// <returns>The pages behind the IOVAs, a slice for each area.</returns>
    [Alias("GetPages")]
    ValueTask<PagesReply> GetPagesAsync(ObjectStamp stamp, ulong iova, ulong length);

    /// <summary>The destination's part of <c>IOMMU_IOAS_COPY</c>.</summary>
    /// <param name="stamp">The life that is meant.</param>
    /// <param name="flags">How to map.</param>
    /// <param name="slices">What the source gave.</param>
    /// <param name="iova">Where to map with FIXED_IOVA.</param>
    /// <param name="facts">What is known of the memory, which a domain pins.</param>
    /// <returns>The first IOVA.</returns>
    [Alias("MapPages")]
    ValueTask<PinReply> MapPagesAsync(ObjectStamp stamp, IommuIoasMapFlags flags, [Immutable] PagesSlice[] slices, ulong iova, PinFacts facts);

    /// <summary><c>IOMMU_IOAS_IOVA_RANGES</c>.</summary>
    /// <param name="stamp">The life that is meant.</param>
    /// <param name="room">Ranges that the caller's array has room for.</param>
    /// <param name="writableBytes">Leading bytes of the array that can be written.</param>
    /// <returns>The ranges to write; EMSGSIZE where there are more, EFAULT where one can't be written.</returns>
    [Alias("IovaRanges")]
    ValueTask<IovaRangesReply> IovaRangesAsync(ObjectStamp stamp, uint room, ulong writableBytes);

    /// <summary><c>IOMMU_IOAS_ALLOW_IOVAS</c>.</summary>
    /// <param name="stamp">The life that is meant.</param>
    /// <param name="count">Ranges that the caller's array has.</param>
    /// <param name="content">The array's leading bytes that can be read.</param>
    /// <returns>The errno.</returns>
    [Alias("AllowIovas")]
    ValueTask<ObjectReply> AllowIovasAsync(ObjectStamp stamp, uint count, [Immutable] byte[] content);

    /// <summary><c>IOMMU_TEST_OP_ADD_RESERVED</c>: reserves IOVAs for as long as the IOAS lives.</summary>
    /// <param name="stamp">The life that is meant.</param>
    /// <param name="range">The IOVAs.</param>
    /// <returns>EADDRINUSE where one is mapped or allowed.</returns>
    [Alias("AddReserved")]
    ValueTask<ObjectReply> AddReservedAsync(ObjectStamp stamp, IovaRange range);

    /// <summary>Changes what devices, page tables and accesses the IOAS serves: all of the changes are made, or none.</summary>
    /// <param name="stamp">The life that is meant.</param>
    /// <param name="changes">The changes, in order. Those that take something away come last.</param>
    /// <param name="facts">What is known of the memory, which a domain pins.</param>
    /// <returns>The errno of the first that fails.</returns>
    [Alias("Change")]
    ValueTask<PinReply> ChangeAsync(ObjectStamp stamp, [Immutable] IoasChange[] changes, PinFacts facts);

    /// <summary><c>iommufd_access_pin_pages</c>.</summary>
    /// <param name="stamp">The life that is meant.</param>
    /// <param name="request">What to pin.</param>
    /// <param name="pin">The number that the pin gets.</param>
    /// <param name="expected">What the pages should be; null compares nothing.</param>
    /// <param name="facts">What is known of the memory.</param>
    /// <returns>
    /// The pages; EINVAL, EOVERFLOW or ENOENT for IOVAs that are misaligned, none or not mapped, EPERM where they may not be accessed so, EFAULT where
    /// memory isn't there, EBADE where it is not what it should be.
    /// </returns>
    [Alias("PinPages")]
    ValueTask<PagesReply> PinPagesAsync(ObjectStamp stamp, IoasAccessRequest request, uint pin, ExpectedMemory? expected, PinFacts facts);

    /// <summary><c>iommufd_access_unpin_pages</c>.</summary>
    /// <param name="stamp">The life that is meant.</param>
    /// <param name="access">The access.</param>
    /// <param name="pin">The pin.</param>
    /// <returns>ENOENT where the access has no such pin.</returns>
    [Alias("UnpinPages")]
    ValueTask<ObjectReply> UnpinPagesAsync(ObjectStamp stamp, ObjectId access, uint pin);

    /// <summary><c>iommufd_access_rw</c>: finds the memory to copy from or to.</summary>
    /// <param name="stamp">The life that is meant.</param>
    /// <param name="request">What to copy.</param>
    /// <param name="facts">What is known of the files.</param>
    /// <returns>The pages; EINVAL, EOVERFLOW or ENOENT for IOVAs that are none or not mapped, EPERM where they may not be accessed so, EINVAL for a file's pages that can't be pinned.</returns>
    [Alias("AccessRw")]
    ValueTask<PagesReply> AccessRwAsync(ObjectStamp stamp, IoasAccessRequest request, PinFacts facts);

    /// <summary>Translates an access of a device, and marks what it writes as dirty where the page table tracks that.</summary>
    /// <param name="stamp">The life that is meant.</param>
    /// <param name="access">The access.</param>
    /// <returns>The pages: of all its ranges, or of none.</returns>
    [Alias("Translate")]
    ValueTask<TranslationReply> TranslateAsync(ObjectStamp stamp, DmaAccess access);

    /// <summary>How much of some pages is pinned here, by a domain or by accesses. IOASes that share pages share their pins.</summary>
    /// <param name="stamp">The life that is meant.</param>
    /// <param name="pages">The pages.</param>
    /// <param name="startByte">The first byte, from the first page's start.</param>
    /// <returns>Bytes that are pinned without a gap.</returns>
    [Alias("PinnedBytes")]
    ValueTask<ObjectReply> PinnedBytesAsync(ObjectStamp stamp, PagesId pages, ulong startByte);

    /// <summary><c>IOMMU_HWPT_SET_DIRTY_TRACKING</c>.</summary>
    /// <param name="stamp">The life that is meant.</param>
    /// <param name="hwpt">The HWPT.</param>
    /// <param name="enable">Whether to track; every page is clean then.</param>
    /// <returns>EOPNOTSUPP where the domain can't track.</returns>
    [Alias("SetDirtyTracking")]
    ValueTask<ObjectReply> SetDirtyTrackingAsync(ObjectStamp stamp, ObjectId hwpt, bool enable);

    /// <summary><c>IOMMU_HWPT_GET_DIRTY_BITMAP</c>.</summary>
    /// <param name="stamp">The life that is meant.</param>
    /// <param name="range">What to read.</param>
    /// <param name="clear">Whether what was read is clean afterwards.</param>
    /// <returns>The bits.</returns>
    [Alias("ReadDirty")]
    ValueTask<DirtyBitmapReply> ReadDirtyAsync(ObjectStamp stamp, DirtyRange range, bool clear);

    /// <summary><c>IOMMU_TEST_OP_DIRTY</c>: makes pages dirty, as a device does that writes them.</summary>
    /// <param name="stamp">The life that is meant.</param>
    /// <param name="range">Which pages.</param>
    /// <param name="bitmap">The bits of those that become dirty, as far as they could be read.</param>
    /// <returns>How many bits are set; EINVAL where dirty pages are not tracked, EFAULT where bits are missing.</returns>
    [Alias("MarkDirty")]
    ValueTask<ObjectReply> MarkDirtyAsync(ObjectStamp stamp, DirtyRange range, [Immutable] byte[] bitmap);

    /// <summary><c>IOMMU_TEST_OP_MD_CHECK_MAP</c>: whether IOVAs of a page table lead to the memory that they should.</summary>
    /// <param name="stamp">The life that is meant.</param>
    /// <param name="hwpt">The HWPT.</param>
    /// <param name="iova">The first IOVA.</param>
    /// <param name="length">Bytes.</param>
    /// <param name="expected">The memory.</param>
    /// <returns>EINVAL where they lead elsewhere or are misaligned, EFAULT where the memory isn't there.</returns>
    [Alias("CheckMap")]
    ValueTask<ObjectReply> CheckMapAsync(ObjectStamp stamp, ObjectId hwpt, ulong iova, ulong length, ExpectedMemory expected);

    /// <summary>What is pinned of the caller's memory, for <c>IOMMU_TEST_OP_MD_CHECK_REFS</c>.</summary>
    /// <param name="stamp">The life that is meant.</param>
    /// <param name="addresses">The caller's addresses.</param>
    /// <param name="memory">Whose addresses they are, and what they are a mapping of.</param>
    /// <returns>The pinned runs that have one of them.</returns>
    [Alias("FindPinned")]
    ValueTask<PinnedReply> FindPinnedAsync(ObjectStamp stamp, IovaRange addresses, ExpectedMemory memory);

    /// <summary>The exporter of a dma-buf has revoked it: what is mapped of it leads nowhere from now on.</summary>
    /// <param name="stamp">The life that is meant.</param>
    /// <param name="identity">The dma-buf.</param>
    /// <returns>How many areas mapped it.</returns>
    [Alias("Revoke")]
    ValueTask<ObjectReply> RevokeAsync(ObjectStamp stamp, string identity);

    /// <summary>Whether <c>IOMMU_IOAS_CHANGE_PROCESS</c> may move this IOAS' accounting.</summary>
    /// <param name="stamp">The life that is meant.</param>
    /// <returns>EINVAL where it maps memory of a process.</returns>
    [Alias("CheckChangeProcess")]
    ValueTask<ObjectReply> CheckChangeProcessAsync(ObjectStamp stamp);

    /// <summary><c>IOMMU_IOAS_CHANGE_PROCESS</c>: all that is mapped is another program's from now on.</summary>
    /// <param name="stamp">The stamp.</param>
    /// <param name="source">The program.</param>
    [Alias("ChangeProcess")]
    ValueTask<ObjectReply> ChangeProcessAsync(ObjectStamp stamp, MemorySource? source);
}
