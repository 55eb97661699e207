using System.Runtime.InteropServices;
using IommuFd.GrainInterfaces;
using IommuFd.Grains.IoPagetable;
using IommuFd.Grains.IoPagetable.Pins;
using IommuFd.Uapi;

namespace IommuFd.Grains.Objects.Ioas;

// The ioctls on an IO address space, as decoded values: what the kernel's ioas.c does around the IO page table. An ioctl has two
// parts, because the kernel checks the argument before it looks the IOAS up and does the rest after: the checks of IoasChecks
// come first, then ENOENT where there is no such IOAS, then the method of the IOAS. IOMMU_IOAS_COPY asks the source for its pages
// before the destination is even looked up.
//
// Always: an errno but None leaves the outputs meaningless, except where a method says otherwise.

// This file has the mappings, .Domains.cs what devices, page tables and accesses do, .Snapshot.cs saving and restoring.

/// <summary>One IO address space.</summary>
/// <param name="serial">The object's serial number in its context.</param>
internal sealed partial class IoasModel(long serial = 0)
{
    /// <summary>Ranges that one answer carries: as many bytes as travel of one buffer.</summary>
    public const int MaxRanges = IoctlLimits.MaxBufferBytes / 16;

    private long _lastPages;
    private MemorySource? _lastSource;

    /// <summary>The IOVAs and what they map.</summary>
    public IoptTable Table { get; private init; } = new();

    /// <summary>The areas and the ranges, reserved and allowed, that it has: what its memory grows by.</summary>
    public int Size => Table.AreaCount + Table.Reserved.Count + Table.Allowed.Ranges.Length;

    /// <summary>What is pinned, if that has changed since it was asked last; null if not.</summary>
    public PinTally? TakePins() => Table.TakePins();

    /// <summary><c>IOMMU_IOAS_MAP</c>.</summary>
    /// <param name="flags">How to map.</param>
    /// <param name="userVa">The caller's address.</param>
    /// <param name="length">Bytes.</param>
    /// <param name="readableBytes">Leading bytes of the caller's memory that can be read.</param>
    /// <param name="writableBytes">Leading bytes that can be written.</param>
    /// <param name="iova">In: where to map with FIXED_IOVA. Out: where it is mapped.</param>
    /// <param name="origin">Whose memory it is.</param>
    /// <param name="look">Charges the memory, where a domain pins it; null where it has no limit.</param>
    public Errno Map(
        IommuIoasMapFlags flags, ulong userVa, ulong length, ulong readableBytes, ulong writableBytes, ref ulong iova, PagesOrigin origin = default, PinLook? look = null)
    {
        var writable = flags.HasFlag(IommuIoasMapFlags.Writeable);
        var errno = PagesFactory.OfUser(
            NextPages(), userVa, length, writable ? writableBytes : readableBytes, writable, out var pages, origin with { Source = Shared(origin.Source) });
        return errno == Errno.None ? MapPages(flags, [new PagesSlice(pages!, PageSizes.OffsetOf(userVa), length)], ref iova, look, isCopy: false) : errno;
    }

    /// <summary><c>IOMMU_IOAS_MAP_FILE</c>.</summary>
    /// <param name="flags">How to map.</param>
    /// <param name="file">The file; null for a descriptor that isn't open.</param>
    /// <param name="start">Offset in the file.</param>
    /// <param name="length">Bytes.</param>
    /// <param name="pinnableBytes">Bytes from that offset on that are those of a memfd; 0 for other files.</param>
    /// <param name="iova">In: where to map with FIXED_IOVA. Out: where it is mapped.</param>
    /// <param name="origin">The program that has the file open.</param>
    /// <param name="look">Charges the file's pages, where a domain pins them; null where they have no limit.</param>
    public Errno MapFile(
        IommuIoasMapFlags flags, MappedFile? file, ulong start, ulong length, ulong pinnableBytes, ref ulong iova, PagesOrigin origin = default, PinLook? look = null)
    {
        var writable = flags.HasFlag(IommuIoasMapFlags.Writeable);
        var errno = PagesFactory.OfFile(NextPages(), file, start, length, pinnableBytes, writable, out var pages, origin with { Source = Shared(origin.Source) });
        return errno == Errno.None ? MapPages(flags, [new PagesSlice(pages!, PageSizes.OffsetOf(start), length)], ref iova, look, isCopy: false) : errno;
    }

    /// <summary><c>IOMMU_IOAS_MAP_FILE</c> of a dma-buf.</summary>
    /// <param name="flags">How to map.</param>
    /// <param name="file">The dma-buf.</param>
    /// <param name="start">Offset in it.</param>
    /// <param name="length">Bytes.</param>
    /// <param name="iova">In: where to map with FIXED_IOVA. Out: where it is mapped.</param>
    public Errno MapDmaBuf(IommuIoasMapFlags flags, UserFile file, ulong start, ulong length, ref ulong iova)
    {
        var errno = PagesFactory.OfDmaBuf(NextPages(), file, start, length, flags.HasFlag(IommuIoasMapFlags.Writeable), out var pages);
        return errno == Errno.None ? MapPages(flags, [new PagesSlice(pages!, PageSizes.OffsetOf(start), length)], ref iova) : errno;
    }

    /// <summary>The source's part of <c>IOMMU_IOAS_COPY</c>.</summary>
    /// <param name="srcIova">The first IOVA.</param>
    /// <param name="length">Bytes.</param>
    /// <param name="slices">Gets the mapped pieces; none on failure.</param>
    public Errno GetPages(ulong srcIova, ulong length, List<PagesSlice> slices)
    {
        var errno = Table.GetPages(srcIova, length, slices);
        if (errno == Errno.None)
        {
            Table.Share(new IovaRange(srcIova, srcIova + (length - 1)));
        }

        return errno;
    }

    /// <summary>The destination's part of <c>IOMMU_IOAS_COPY</c>.</summary>
    /// <param name="flags">How to map.</param>
    /// <param name="slices">What the source gave.</param>
    /// <param name="dstIova">In: where to map with FIXED_IOVA. Out: where it is mapped.</param>
    /// <param name="look">Looks at the memory, where a domain pins it; null where it was looked at just now.</param>
    /// <param name="isCopy">Whether the pages are mapped elsewhere too.</param>
    public Errno MapPages(IommuIoasMapFlags flags, ReadOnlySpan<PagesSlice> slices, ref ulong dstIova, PinLook? look = null, bool isCopy = true)
    {
        var fixedIova = flags.HasFlag(IommuIoasMapFlags.FixedIova) ? dstIova : (ulong?)null;
        var errno = Table.Map(slices, ProtOf(flags), fixedIova, out var mapped, look, isCopy);
        dstIova = errno == Errno.None ? mapped : dstIova;
        return errno;
    }

    /// <summary><c>IOMMU_IOAS_UNMAP</c>. On failure, areas may be unmapped although the caller does not learn how many.</summary>
    /// <param name="iova">The first IOVA.</param>
    /// <param name="length">In: bytes; 2^64 - 1 from IOVA 0 on is everything. Out: bytes unmapped.</param>
    public Errno Unmap(ulong iova, ref ulong length)
    {
        ulong unmapped;
        Errno errno;
        if (iova == 0 && length == ulong.MaxValue)
        {
            errno = Table.UnmapAll(out unmapped);
        }
        else if (iova == ulong.MaxValue || length == ulong.MaxValue)
        {
            return Errno.EOVERFLOW;
        }
        else
        {
            errno = Table.Unmap(iova, length, out unmapped);
            errno = errno == Errno.None && unmapped == 0 ? Errno.ENOENT : errno;
        }

        length = errno == Errno.None ? unmapped : length;
        return errno;
    }

    /// <summary><c>VFIO_IOMMU_UNMAP_DMA</c>: where large pages are forbidden, as for type1, the range may begin and end inside areas.</summary>
    /// <param name="iova">The first IOVA.</param>
    /// <param name="length">Bytes.</param>
    /// <param name="all">Whether everything is unmapped instead.</param>
    /// <param name="unmapped">Bytes unmapped, also where it fails on the way; where it fails before, the length that was asked for.</param>
    public Errno UnmapCompat(ulong iova, ulong length, bool all, out ulong unmapped)
    {
        unmapped = length;
        if (all)
        {
            return iova == 0 && length == 0 ? Table.UnmapAll(out unmapped) : Errno.EINVAL;
        }

        if (Table.LargePagesDisabled)
        {
            // An IOVA of 0 has none before it to cut at.
            ReadOnlySpan<ulong> cuts = [unchecked(iova + length - 1), unchecked(iova - 1)];
            if (Table.Cut(iova == 0 ? cuts[..1] : cuts) is var errno && errno != Errno.None)
            {
                return errno;
            }
        }

        return Table.Unmap(iova, length, out unmapped);
    }

    /// <summary>
    /// <c>IOMMU_IOAS_IOVA_RANGES</c>. ENOMEM for more than <see cref="MaxRanges"/>. With EMSGSIZE everything is valid, and ranges are all that have room; with EFAULT the ranges before
    /// the one that could not be written are, and the argument is not copied back.
    /// </summary>
    /// <param name="room">Ranges that the caller's array has room for.</param>
    /// <param name="writableBytes">Leading bytes of the array that can be written.</param>
    /// <param name="ranges">Gets the ranges to write.</param>
    /// <param name="count">Ranges that there are.</param>
    /// <param name="alignment">Alignment of IOVAs.</param>
    public Errno IovaRanges(uint room, ulong writableBytes, List<IommuIovaRange> ranges, out uint count, out ulong alignment)
    {
        count = (uint)Table.Reserved.HoleCount;
        alignment = Table.IovaAlignment;
        if (Math.Min(room, count) > MaxRanges)
        {
            return Errno.ENOMEM;
        }

        var writable = (long)(writableBytes / (ulong)Marshal.SizeOf<IommuIovaRange>());
        foreach (var hole in Table.Reserved.Holes.Take((int)Math.Min(room, count)))
        {
            if (ranges.Count == writable)
            {
                return Errno.EFAULT;
            }

            ranges.Add(new IommuIovaRange { Start = hole.Start, Last = hole.Last });
        }

        return count > room ? Errno.EMSGSIZE : Errno.None;
    }

    /// <summary><c>IOMMU_IOAS_ALLOW_IOVAS</c>: the list is taken as a whole or not at all.</summary>
    /// <param name="count">Ranges that the caller's array has.</param>
    /// <param name="content">The array's leading bytes that can be read: all of them, a request too large to travel whole never comes here.</param>
    public Errno AllowIovas(uint count, ReadOnlySpan<byte> content)
    {
        // The kernel reads range by range and stops at the first that is wrong or can't be read, so a wrong one before comes first.
        var ranges = MemoryMarshal.Cast<byte, IommuIovaRange>(content);
        ranges = ranges[..(int)Math.Min(count, (uint)ranges.Length)];
        var errno = AllowedRanges.Create(ranges, out var allowed);
        if (errno != Errno.None)
        {
            return errno;
        }

        return (uint)ranges.Length < count ? Errno.EFAULT : Table.SetAllowed(allowed);
    }

    /// <summary><c>IOMMU_OPTION_HUGE_PAGES</c>.</summary>
    /// <param name="op">Whether to get or to set it.</param>
    /// <param name="value">In: the value to set. Out: the value got.</param>
    public Errno HugePages(IommuOptionOp op, ref ulong value)
    {
        if (IoasChecks.HugePages(op, value) is var errno && errno != Errno.None)
        {
            return errno;
        }

        if (op == IommuOptionOp.Set)
        {
            if (value == 0)
            {
                return Table.DisableLargePages();
            }

            Table.EnableLargePages();
        }

        value = Table.LargePagesDisabled ? 0UL : 1;
        return Errno.None;
    }

    /// <summary>This IOAS's part of <c>IOMMU_IOAS_CHANGE_PROCESS</c>, which fails where any IOAS of the context fails.</summary>
    public Errno CheckChangeProcess() => Table.MapsOtherThanFiles ? Errno.EINVAL : Errno.None;

    /// <summary><c>IOMMU_TEST_OP_ADD_RESERVED</c>: the reservation has no owner and stays as long as the IOAS.</summary>
    public Errno AddReserved(IovaRange range) => Table.Reserve(range, owner: null);

    // Most mappings come from one program, and share what names it.
    private MemorySource? Shared(MemorySource? source) => source is null ? null : _lastSource = source == _lastSource ? _lastSource : source;

    private PagesId NextPages() => new(serial, ++_lastPages);

    private static IommuProt ProtOf(IommuIoasMapFlags flags)
        => IommuProt.Cache
            | (flags.HasFlag(IommuIoasMapFlags.Writeable) ? IommuProt.Write : IommuProt.None)
            | (flags.HasFlag(IommuIoasMapFlags.Readable) ? IommuProt.Read : IommuProt.None);
}
