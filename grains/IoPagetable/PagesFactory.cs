using IommuFd.GrainInterfaces;
using IommuFd.Uapi;

namespace IommuFd.Grains.IoPagetable;

// Nothing is read or pinned here. Without a domain or an access Linux does not touch the memory either: mapping absent memory succeeds, and
// only pinning it later fails.

/// <summary>Describes memory to be mapped as pages.</summary>
internal static class PagesFactory
{
    /// <summary>Describes the caller's memory.</summary>
    /// <param name="id">The identity of the pages.</param>
    /// <param name="address">Its address, of any alignment.</param>
    /// <param name="length">Bytes.</param>
    /// <param name="pinnableBytes">Leading bytes that can be pinned for this use.</param>
    /// <param name="writable">Whether DMA may write.</param>
    /// <param name="pages">The pages.</param>
    /// <param name="origin">Whose memory it is, and what it is a mapping of.</param>
    public static Errno OfUser(PagesId id, ulong address, ulong length, ulong pinnableBytes, bool writable, out IoptPages? pages, PagesOrigin origin = default)
    {
        pages = null;
        return address + length < address ? Errno.EOVERFLOW : Of(id, null, address, length, pinnableBytes, writable, origin, out pages);
    }

    /// <summary>Describes a part of a file.</summary>
    /// <param name="id">The identity of the pages.</param>
    /// <param name="file">The file; null for a descriptor that isn't open.</param>
    /// <param name="start">Offset in the file, of any alignment.</param>
    /// <param name="length">Bytes.</param>
    /// <param name="pinnableBytes">Leading bytes that can be pinned: none if the file isn't a memfd, and none past its end.</param>
    /// <param name="writable">Whether DMA may write.</param>
    /// <param name="pages">The pages.</param>
    /// <param name="origin">The program that has it open.</param>
    public static Errno OfFile(
        PagesId id, MappedFile? file, ulong start, ulong length, ulong pinnableBytes, bool writable, out IoptPages? pages, PagesOrigin origin = default)
    {
        pages = null;
        if (length == 0)
        {
            return Errno.EINVAL;
        }

        if (!IovaRange.TryOfLength(start, length, out _))
        {
            return Errno.EOVERFLOW;
        }

        return file is null ? Errno.EBADF : Of(id, file, start, length, pinnableBytes, writable, origin with { Mapping = null }, out pages);
    }

    /// <summary>Describes a part of a dma-buf: EINVAL where it ends before, ENODEV where it is revoked, EOPNOTSUPP where it has several ranges.</summary>
    /// <param name="id">The identity of the pages.</param>
    /// <param name="file">The dma-buf.</param>
    /// <param name="start">Offset in it, of any alignment.</param>
    /// <param name="length">Bytes.</param>
    /// <param name="writable">Whether DMA may write.</param>
    /// <param name="pages">The pages.</param>
    public static Errno OfDmaBuf(PagesId id, UserFile file, ulong start, ulong length, bool writable, out IoptPages? pages)
    {
        pages = null;
        if (length == 0)
        {
            return Errno.EINVAL;
        }

        if (!IovaRange.TryOfLength(start, length, out var bytes))
        {
            return Errno.EOVERFLOW;
        }

        if (file.LengthBytes <= bytes.Last)
        {
            return Errno.EINVAL;
        }

        return file.DmaBuf!.State switch
        {
            DmaBufState.Mappable => Of(id, new MappedFile(file.Identity), start, length, length, writable, new PagesOrigin(null, null) { IsDmaBuf = true }, out pages),
            DmaBufState.Revoked => Errno.ENODEV,
            _ => Errno.EOPNOTSUPP,
        };
    }

    private static Errno Of(
        PagesId id, MappedFile? file, ulong address, ulong length, ulong pinnableBytes, bool writable, PagesOrigin origin, out IoptPages? pages)
    {
        pages = null;
        if (length == 0 || length > ulong.MaxValue - PageSizes.Page)
        {
            return Errno.EINVAL;
        }

        // Within two pages of 2^64 bytes the count wraps to zero, as it does in Linux; no area then fits in the pages.
        var pageCount = (PageSizes.OffsetOf(address) + length + (PageSizes.Page - 1)) / PageSizes.Page;
        pages = new IoptPages
        {
            Id = id,
            File = file,
            Start = PageSizes.RoundDown(address),
            PageCount = pageCount,
            PinnablePages = pinnableBytes >= length ? pageCount : (PageSizes.OffsetOf(address) + pinnableBytes) / PageSizes.Page,
            Writable = writable,
            Source = origin.Source,
            IsDmaBuf = origin.IsDmaBuf,
            Account = origin.Account,
            Mapping = origin.Mapping is { } mapping ? mapping with { Offset = mapping.Offset - PageSizes.OffsetOf(address), Length = mapping.Length + PageSizes.OffsetOf(address) } : null,
        };
        return Errno.None;
    }

    /// <summary>Whether every page of a slice could be pinned when it was mapped. The slice must lie within its pages.</summary>
    public static bool IsPinnable(this PagesSlice slice) => (slice.StartByte + (slice.Length - 1)) / PageSizes.Page < slice.Pages.PinnablePages;

    /// <summary>Whether a slice could be pinned when it was mapped.</summary>
    public static Errno CheckWhenMapped(this PagesSlice slice) => slice.IsPinnable() ? Errno.None : slice.UnpinnableErrno();

    /// <summary>Pinning absent memory faults; a file that is no memfd, or a page past its end, can't be pinned at all.</summary>
    public static Errno UnpinnableErrno(this PagesSlice slice) => slice.Pages.File is null ? Errno.EFAULT : Errno.EINVAL;

    /// <summary>Whether a slice lies within its pages.</summary>
    public static bool IsInside(this PagesSlice slice)
        => IovaRange.TryOfLength(slice.StartByte, slice.Length, out var bytes) && bytes.Last / PageSizes.Page < slice.Pages.PageCount;
}

/// <summary>Whose the caller's memory is.</summary>
/// <param name="Source">The program, to be asked when the pages are pinned; null where what was known when they were mapped stays true.</param>
/// <param name="Mapping">The file that the memory is a mapping of, from its first byte on; null for other memory.</param>
/// <param name="Account">What the pages count against while they are pinned.</param>
internal readonly record struct PagesOrigin(MemorySource? Source, FileMapping? Mapping, PinAccount Account = PinAccount.None)
{
    /// <summary>Whether it is a dma-buf's.</summary>
    public bool IsDmaBuf { get; init; }
}
