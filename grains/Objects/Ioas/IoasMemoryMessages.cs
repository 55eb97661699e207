using IommuFd.GrainInterfaces;
using IommuFd.Grains.Calls;
using IommuFd.Grains.IoPagetable;
using IommuFd.Grains.IoPagetable.Pins;
using IommuFd.Grains.Model;
using IommuFd.Uapi;

namespace IommuFd.Grains.Objects.Ioas;

// What accesses and page tables ask of the memory that an IOAS maps.

/// <summary>IOVAs that an access wants to pin or to copy.</summary>
/// <param name="Access">The access.</param>
/// <param name="Iova">The first IOVA.</param>
/// <param name="Length">Bytes.</param>
/// <param name="Flags">Whether to write, and how the IOVA is meant.</param>
[GenerateSerializer, Immutable, Alias("IommuFd.IoasAccessRequest")]
internal readonly record struct IoasAccessRequest(
    [property: Id(0)] ObjectId Access, [property: Id(1)] ulong Iova, [property: Id(2)] ulong Length, [property: Id(3)] IommuTestAccessFlags Flags);

/// <summary>The caller's memory that pages are compared with.</summary>
/// <param name="Address">The first address.</param>
/// <param name="ReadableBytes">Leading bytes that can be read.</param>
/// <param name="Mapping">The file that the memory is a mapping of; null for other memory.</param>
/// <param name="Source">The program whose memory it is; null where that is not known.</param>
[GenerateSerializer, Immutable, Alias("IommuFd.ExpectedMemory")]
internal readonly record struct ExpectedMemory(
    [property: Id(0)] ulong Address, [property: Id(1)] ulong ReadableBytes, [property: Id(2)] FileMapping? Mapping = null, [property: Id(3)] MemorySource? Source = null)
{
    /// <summary>The buffer of a selftest op.</summary>
    public static ExpectedMemory Of(IoctlCommand call, IommuTestOp op, ulong address)
    {
        var buffer = call.Buffer(IoctlTable.TestBufferIndex(op));
        return new(address, buffer.ReadableBytes, buffer.Mapping, call.Memory);
    }

    /// <summary>Whether it can be memory of the same program as other memory: equal addresses of two programs are different memory.</summary>
    public bool IsOf(MemorySource? source) => Source is null || source is null || Source == source;
}

/// <summary>IOVAs of a page table whose dirty bits are read or set.</summary>
/// <param name="Hwpt">The HWPT.</param>
/// <param name="Iova">The first IOVA.</param>
/// <param name="Length">Bytes.</param>
/// <param name="PageSize">Bytes that one bit stands for.</param>
[GenerateSerializer, Immutable, Alias("IommuFd.DirtyRange")]
internal readonly record struct DirtyRange(
    [property: Id(0)] ObjectId Hwpt, [property: Id(1)] ulong Iova, [property: Id(2)] ulong Length, [property: Id(3)] ulong PageSize);

/// <summary>Bytes of a bitmap that have a bit set.</summary>
/// <param name="Offset">Where they lie, in bytes from the bitmap's start.</param>
/// <param name="Bits">The bytes; bit 0 of a byte is the lowest IOVA.</param>
[GenerateSerializer, Immutable, Alias("IommuFd.BitmapPiece")]
internal sealed record BitmapPiece([property: Id(0)] ulong Offset, [property: Id(1)] byte[] Bits);

/// <summary>The dirty bits of a range.</summary>
/// <param name="Errno">
/// 0; EOPNOTSUPP where the domain tracks nothing, EINVAL for a range that is not aligned, EOVERFLOW past the last IOVA, ENOMEM
/// for more bits than one reply carries.
/// </param>
/// <param name="Pieces">The parts of the bitmap that are not zero, ascending.</param>
/// <param name="Diagnostic">Why it failed; null on success.</param>
[GenerateSerializer, Immutable, Alias("IommuFd.DirtyBitmapReply")]
internal readonly record struct DirtyBitmapReply(
    [property: Id(0)] Errno Errno, [property: Id(1)] BitmapPiece[] Pieces, [property: Id(2)] IoctlDiagnostic? Diagnostic) : IObjectReply<DirtyBitmapReply>
{
    int? IObjectReply<DirtyBitmapReply>.Size => null;

    PinTally? IObjectReply<DirtyBitmapReply>.Pinned => null;

    /// <inheritdoc/>
    public static DirtyBitmapReply Failed(Errno errno, IoctlDiagnostic? diagnostic) => new(errno, [], diagnostic);
}

/// <summary>A run of the caller's pages that an IOAS has pinned.</summary>
/// <param name="Pages">The pages that they belong to. IOASes that share the pages share the pin.</param>
/// <param name="Range">The caller's addresses, in whole pages.</param>
[GenerateSerializer, Immutable, Alias("IommuFd.PinnedRun")]
internal readonly record struct PinnedRun([property: Id(0)] PagesId Pages, [property: Id(1)] IovaRange Range);

/// <summary>What an IOAS has pinned of the caller's memory.</summary>
/// <param name="Errno">0; ENOMEM for more runs than one reply carries.</param>
/// <param name="Runs">The runs, in no order.</param>
/// <param name="Diagnostic">Why it failed; null on success.</param>
[GenerateSerializer, Immutable, Alias("IommuFd.PinnedReply")]
internal readonly record struct PinnedReply(
    [property: Id(0)] Errno Errno, [property: Id(1)] PinnedRun[] Runs, [property: Id(2)] IoctlDiagnostic? Diagnostic) : IObjectReply<PinnedReply>
{
    int? IObjectReply<PinnedReply>.Size => null;

    PinTally? IObjectReply<PinnedReply>.Pinned => null;

    /// <inheritdoc/>
    public static PinnedReply Failed(Errno errno, IoctlDiagnostic? diagnostic) => new(errno, [], diagnostic);
}

/// <summary>An access of a device by IOVAs.</summary>
/// <param name="Hwpt">The page table that translates it.</param>
/// <param name="Ranges">The IOVAs.</param>
/// <param name="Write">Whether the device writes.</param>
[GenerateSerializer, Immutable, Alias("IommuFd.DmaAccess")]
internal readonly record struct DmaAccess([property: Id(0)] ObjectId Hwpt, [property: Id(1)] DmaRange[] Ranges, [property: Id(2)] bool Write);

/// <summary>What an access of a device is translated to.</summary>
/// <param name="Errno">0; ENOENT where an IOVA is not mapped, EPERM where it does not permit the access, EOVERFLOW past the last IOVA, ENOMEM for too many areas.</param>
/// <param name="Slices">The pages, in the order of the IOVAs; none on failure.</param>
/// <param name="DirtiedPages">Pages that have become dirty.</param>
/// <param name="Fault">The first IOVA that could not be translated.</param>
/// <param name="Diagnostic">Why it failed; null on success.</param>
[GenerateSerializer, Immutable, Alias("IommuFd.TranslationReply")]
internal readonly record struct TranslationReply(
    [property: Id(0)] Errno Errno,
    [property: Id(1)] PagesSlice[] Slices,
    [property: Id(2)] ulong DirtiedPages,
    [property: Id(3)] ulong Fault,
    [property: Id(4)] IoctlDiagnostic? Diagnostic) : IObjectReply<TranslationReply>
{
    int? IObjectReply<TranslationReply>.Size => null;

    PinTally? IObjectReply<TranslationReply>.Pinned => null;

    /// <inheritdoc/>
    public static TranslationReply Failed(Errno errno, IoctlDiagnostic? diagnostic) => new(errno, [], 0, 0, diagnostic);
}
