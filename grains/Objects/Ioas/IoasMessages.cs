using IommuFd.GrainInterfaces;
using IommuFd.Grains.IoPagetable;
using IommuFd.Grains.IoPagetable.Pins;
using IommuFd.Grains.Model;
using IommuFd.Uapi;

namespace IommuFd.Grains.Objects.Ioas;

/// <summary>What to map, and how.</summary>
/// <param name="Flags">The mapping's flags.</param>
/// <param name="Address">The caller's address, or the offset in the file.</param>
/// <param name="Length">Bytes.</param>
/// <param name="Iova">Where to map with FIXED_IOVA.</param>
/// <param name="ReadableBytes">Leading bytes of the caller's memory that can be read; unused for a file.</param>
/// <param name="WritableBytes">Leading bytes of the caller's memory that can be written; unused for a file.</param>
/// <param name="Source">The program, to be asked when the memory is pinned; null where what is known now stays true.</param>
/// <param name="Mapping">The file that the caller's memory is a mapping of; null for other memory.</param>
/// <param name="Account">What the memory counts against while it is pinned.</param>
[GenerateSerializer, Immutable, Alias("IommuFd.IoasMapRequest")]
internal readonly record struct IoasMapRequest(
    [property: Id(0)] IommuIoasMapFlags Flags,
    [property: Id(1)] ulong Address,
    [property: Id(2)] ulong Length,
    [property: Id(3)] ulong Iova,
    [property: Id(4)] ulong ReadableBytes,
    [property: Id(5)] ulong WritableBytes,
    [property: Id(6)] MemorySource? Source = null,
    [property: Id(7)] FileMapping? Mapping = null,
    [property: Id(8)] PinAccount Account = PinAccount.None);

/// <summary>The pages behind IOVAs.</summary>
/// <param name="Errno">0; EINVAL for no bytes, EOVERFLOW past the last IOVA, ENOENT where an IOVA is not mapped; EAGAIN where something must be known first.</param>
/// <param name="Slices">The pages, a slice for each area; of a failed copy those that come before the failure.</param>
/// <param name="Diagnostic">Why it failed; null on success.</param>
/// <param name="Questions">What must be known first; null for nothing.</param>
/// <param name="Pinned">What the IOAS has pinned now, where that has changed.</param>
/// <param name="Price">What would be pinned of memory that has a limit, and must be charged first; null for nothing.</param>
[GenerateSerializer, Immutable, Alias("IommuFd.PagesReply")]
internal readonly record struct PagesReply(
    [property: Id(0)] Errno Errno,
    [property: Id(1)] PagesSlice[] Slices,
    [property: Id(2)] IoctlDiagnostic? Diagnostic,
    [property: Id(3)] PinQuestion[]? Questions = null,
    [property: Id(4)] PinTally? Pinned = null,
    [property: Id(5)] PinTally? Price = null) : IPinReply<PagesReply>
{
    int? IObjectReply<PagesReply>.Size => null;

    /// <inheritdoc/>
    public static PagesReply Failed(Errno errno, IoctlDiagnostic? diagnostic) => new(errno, [], diagnostic);
}

/// <summary>What an IOAS answers that pins memory, or tries to.</summary>
/// <typeparam name="TSelf">The reply itself.</typeparam>
internal interface IPinReply<TSelf> : IObjectReply<TSelf>
    where TSelf : struct, IPinReply<TSelf>
{
    /// <summary>What must be known first, with EAGAIN; null for nothing.</summary>
    PinQuestion[]? Questions { get; }

    /// <summary>What would be pinned of memory that has a limit, and must be charged first, with EAGAIN; null for nothing.</summary>
    PinTally? Price { get; }
}

/// <summary>What an IOAS answers to a change that may pin memory.</summary>
/// <param name="Errno">0 on success; EAGAIN where something must be known first.</param>
/// <param name="Value">The first IOVA of what was mapped.</param>
/// <param name="Diagnostic">Why it failed; null on success.</param>
/// <param name="Size">The areas and the ranges, reserved and allowed, that it has now.</param>
/// <param name="Questions">What must be known first; null for nothing.</param>
/// <param name="Pinned">What the IOAS has pinned now, where that has changed.</param>
/// <param name="Price">What would be pinned of memory that has a limit, and must be charged first; null for nothing.</param>
[GenerateSerializer, Immutable, Alias("IommuFd.PinReply")]
internal readonly record struct PinReply(
    [property: Id(0)] Errno Errno,
    [property: Id(1)] ulong Value,
    [property: Id(2)] IoctlDiagnostic? Diagnostic,
    [property: Id(3)] int Size = 0,
    [property: Id(4)] PinQuestion[]? Questions = null,
    [property: Id(5)] PinTally? Pinned = null,
    [property: Id(6)] PinTally? Price = null) : IPinReply<PinReply>
{
    int? IObjectReply<PinReply>.Size => Size;

    /// <summary>The same answer, with what the IOAS has pinned now.</summary>
    public static PinReply Of(ObjectReply reply, PinTally? pinned) => new(reply.Errno, reply.Value, reply.Diagnostic, reply.Size, Pinned: pinned);

    /// <inheritdoc/>
    public static PinReply Failed(Errno errno, IoctlDiagnostic? diagnostic) => new(errno, 0, diagnostic);
}

/// <summary>What IOVA ranges an IOAS has.</summary>
/// <param name="Errno">0; EMSGSIZE where there are more than there is room for, EFAULT where one can't be written.</param>
/// <param name="Count">Ranges that there are.</param>
/// <param name="Alignment">Alignment of IOVAs in bytes.</param>
/// <param name="Ranges">The ranges to write, as the ABI has them.</param>
/// <param name="Diagnostic">Why it failed; null on success.</param>
[GenerateSerializer, Immutable, Alias("IommuFd.IovaRangesReply")]
internal readonly record struct IovaRangesReply(
    [property: Id(0)] Errno Errno,
    [property: Id(1)] uint Count,
    [property: Id(2)] ulong Alignment,
    [property: Id(3)] byte[] Ranges,
    [property: Id(4)] IoctlDiagnostic? Diagnostic) : IObjectReply<IovaRangesReply>
{
    /// <summary>The sizes of pages that every domain of the IOAS can map, a bit each; all ones without a domain.</summary>
    [Id(5)]
    public ulong PageSizes { get; init; }

    int? IObjectReply<IovaRangesReply>.Size => null;

    PinTally? IObjectReply<IovaRangesReply>.Pinned => null;

    /// <inheritdoc/>
    public static IovaRangesReply Failed(Errno errno, IoctlDiagnostic? diagnostic) => new(errno, 0, 0, [], diagnostic);
}
