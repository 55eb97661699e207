using IommuFd.GrainInterfaces;
using IommuFd.Uapi;

namespace IommuFd.Client;

/// <content>Typed commands on mappings.</content>
public sealed partial class IommuContext
{
    /// <summary>
    /// <c>IOMMU_IOAS_MAP</c>: maps memory of this process. The SDK pins the memory, so that its address stays, until ioctls of this context, typed or raw, have unmapped it in
    /// every IOAS that it was mapped or copied to, or have destroyed those IOASes, or the context is closed. Without an answer it stays pinned if it may be mapped.
    /// </summary>
    /// <param name="ioas">The IOAS.</param>
    /// <param name="memory">The memory, at least 1 byte. To attach a device, it must be whole pages, as from <see cref="DmaMemory"/>.</param>
    /// <param name="iova">The IOVA to map it at; null lets the service choose.</param>
    /// <param name="access">What devices may do with the memory.</param>
    /// <param name="cancellationToken">Cancels the wait; the memory may still be mapped, and stays pinned.</param>
    /// <returns>The first IOVA.</returns>
    /// <exception cref="IommufdException">
    /// ENOENT if there is no such IOAS; EEXIST if an area is in the way, ENOSPC if no hole is large enough: the exception has the numbers; EINVAL for empty
    /// or misaligned memory or a reserved IOVA; EOVERFLOW past the last IOVA.
    /// </exception>
    /// <exception cref="IommufdTransportException">No answer came.</exception>
    public async ValueTask<Iova> MapAsync(
        ObjectId ioas, Memory<byte> memory, Iova? iova = null, DmaAccess access = DmaAccess.ReadWrite, CancellationToken cancellationToken = default)
    {
        var pin = new MemoryPin(memory);
        var length = (ulong)memory.Length;
        var cmd = new IommuIoasMap { Flags = FlagsOf(iova, access), IoasId = ioas.Value, UserVa = pin.Address, Length = length, Iova = iova?.Value ?? 0 };
        var buffer = new UserBuffer { Address = pin.Address, Length = length, ReadableBytes = length, WritableBytes = length };
        var request = Request(IommuCommand.IoasMap, in cmd, [buffer]);
        var effect = _pins.Begin(request, pin);
        try
        {
            var reply = await SendAsync(request, effect, default, cancellationToken);
            return new Iova(IoctlResult.From(request.Command, reply).ThrowIfFailed().Read<IommuIoasMap>().Iova);
        }
        finally
        {
            effect.Abandon();
        }
    }

    /// <summary><c>IOMMU_IOAS_MAP_FILE</c>: maps a part of a file.</summary>
    /// <param name="ioas">The IOAS.</param>
    /// <param name="file">The file.</param>
    /// <param name="offsetBytes">The part's offset in the file.</param>
    /// <param name="lengthBytes">Its length.</param>
    /// <param name="iova">The IOVA to map it at; null lets the service choose.</param>
    /// <param name="access">What devices may do with the memory.</param>
    /// <param name="cancellationToken">Cancels the wait.</param>
    /// <returns>The first IOVA.</returns>
    /// <exception cref="IommufdException">As for <see cref="MapAsync"/>.</exception>
    /// <exception cref="IommufdTransportException">No answer came.</exception>
    public async ValueTask<Iova> MapFileAsync(
        ObjectId ioas,
        UserFile file,
        ulong offsetBytes,
        ulong lengthBytes,
        Iova? iova = null,
        DmaAccess access = DmaAccess.ReadWrite,
        CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(file);
        var cmd = new IommuIoasMapFile
        {
            Flags = FlagsOf(iova, access),
            IoasId = ioas.Value,
            Start = offsetBytes,
            Length = lengthBytes,
            Iova = iova?.Value ?? 0,
        };
        return new Iova((await SendAsync<IommuIoasMapFile>(IommuCommand.IoasMapFile, cmd, null, file, cancellationToken)).Iova);
    }

    /// <summary><c>IOMMU_IOAS_UNMAP</c>: unmaps the areas of a range. The range must contain each of them as a whole.</summary>
    /// <param name="ioas">The IOAS.</param>
    /// <param name="range">The IOVAs; <see cref="IovaRange.All"/> is everything.</param>
    /// <param name="cancellationToken">Cancels the wait.</param>
    /// <returns>How many bytes were unmapped.</returns>
    /// <exception cref="IommufdException">ENOENT if nothing is mapped, or if an area reaches out of the range: the exception says what is mapped near it.</exception>
    /// <exception cref="IommufdTransportException">No answer came.</exception>
    public async ValueTask<ulong> UnmapAsync(ObjectId ioas, IovaRange range, CancellationToken cancellationToken = default)
    {
        var length = range == IovaRange.All ? ulong.MaxValue : range.LengthBytes;
        var cmd = new IommuIoasUnmap { IoasId = ioas.Value, Iova = range.Start, Length = length };
        return (await RunAsync(IommuCommand.IoasUnmap, cmd, cancellationToken)).Length;
    }

    /// <summary><c>IOMMU_IOAS_COPY</c>: maps the memory of a mapping a second time, in another IOAS or in the same. Both mappings share the pages.</summary>
    /// <param name="source">The IOAS that has the mapping.</param>
    /// <param name="range">The IOVAs to copy: a part of an area, or several adjacent areas.</param>
    /// <param name="destination">The IOAS that gets the mapping.</param>
    /// <param name="iova">The IOVA to map it at; null lets the service choose.</param>
    /// <param name="access">What devices may do: no more than the source's memory permits.</param>
    /// <param name="cancellationToken">Cancels the wait.</param>
    /// <returns>The first IOVA in the destination.</returns>
    /// <exception cref="IommufdException">ENOENT if the range is not mapped; EPERM for write access to read-only memory; otherwise as for <see cref="MapAsync"/>.</exception>
    /// <exception cref="IommufdTransportException">No answer came.</exception>
    public async ValueTask<Iova> CopyAsync(
        ObjectId source,
        IovaRange range,
        ObjectId destination,
        Iova? iova = null,
        DmaAccess access = DmaAccess.ReadWrite,
        CancellationToken cancellationToken = default)
    {
        var cmd = new IommuIoasCopy
        {
            Flags = FlagsOf(iova, access),
            SrcIoasId = source.Value,
            DstIoasId = destination.Value,
            Length = range.LengthBytes,
            SrcIova = range.Start,
            DstIova = iova?.Value ?? 0,
        };
        return new Iova((await RunAsync(IommuCommand.IoasCopy, cmd, cancellationToken)).DstIova);
    }

    /// <summary><c>IOMMU_IOAS_IOVA_RANGES</c>: the ranges that can be mapped, including those that are mapped.</summary>
    /// <param name="ioas">The IOAS.</param>
    /// <param name="cancellationToken">Cancels the wait.</param>
    /// <returns>The ranges in ascending order, and the alignment of IOVAs in bytes.</returns>
    /// <exception cref="IommufdException">ENOENT if there is no such IOAS.</exception>
    /// <exception cref="IommufdTransportException">No answer came.</exception>
    public async ValueTask<(IReadOnlyList<IovaRange> Ranges, ulong AlignmentBytes)> GetIovaRangesAsync(ObjectId ioas, CancellationToken cancellationToken = default)
    {
        const ulong Array = 0x1000;
        for (var room = 16; ; room *= 2)
        {
            var array = new byte[room * 16];
            var argument = UapiStruct.ToBytes(new IommuIoasIovaRanges { Size = 32, IoasId = ioas.Value, NumIovas = (uint)room, AllowedIovas = Array });
            var result = await IoctlAsync((uint)IommuCommand.IoasIovaRanges, argument, new CallerMemory().Add(Array, array), cancellationToken);
            var cmd = UapiStruct.Read<IommuIoasIovaRanges>(argument);
            if (result.Errno != Errno.EMSGSIZE)
            {
                result.ThrowIfFailed();
                var ranges = new IovaRange[cmd.NumIovas];
                for (var i = 0; i < ranges.Length; i++)
                {
                    var range = UapiStruct.Read<IommuIovaRange>(array.AsSpan(i * 16));
                    ranges[i] = new IovaRange(range.Start, range.Last);
                }

                return (ranges, cmd.OutIovaAlignment);
            }
        }
    }

    /// <summary><c>IOMMU_IOAS_ALLOW_IOVAS</c>: guarantees ranges to mappings: attaching a device that reserves one fails, and automatic IOVAs come from these ranges only. Replaces the previous list.</summary>
    /// <param name="ioas">The IOAS.</param>
    /// <param name="ranges">The ranges, at most 65,536; none allows everything.</param>
    /// <param name="cancellationToken">Cancels the wait.</param>
    /// <returns>Completes when the list is in effect.</returns>
    /// <exception cref="IommufdException">EINVAL if ranges overlap or a range has a single IOVA; EADDRINUSE if one is reserved; ENOENT if there is no such IOAS.</exception>
    /// <exception cref="IommufdTransportException">No answer came.</exception>
    public async ValueTask AllowIovasAsync(ObjectId ioas, IReadOnlyList<IovaRange> ranges, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(ranges);
        var bytes = ranges.SelectMany(range => UapiStruct.ToBytes(new IommuIovaRange { Start = range.Start, Last = range.Last })).ToArray();
        var cmd = new IommuIoasAllowIovas { IoasId = ioas.Value, NumIovas = (uint)ranges.Count };
        var buffer = new UserBuffer { Length = (ulong)bytes.Length, ReadableBytes = (ulong)bytes.Length, Content = bytes };
        await SendAsync<IommuIoasAllowIovas>(IommuCommand.IoasAllowIovas, cmd, [buffer], null, cancellationToken);
    }

    /// <summary><c>IOMMU_IOAS_CHANGE_PROCESS</c>: moves the accounting of all the context's file mappings to this process.</summary>
    /// <param name="cancellationToken">Cancels the wait.</param>
    /// <returns>Completes when the accounting is moved.</returns>
    /// <exception cref="IommufdException">EINVAL if anything but files is mapped.</exception>
    /// <exception cref="IommufdTransportException">No answer came.</exception>
    public async ValueTask ChangeProcessAsync(CancellationToken cancellationToken = default)
        => await RunAsync(IommuCommand.IoasChangeProcess, default(IommuIoasChangeProcess), cancellationToken);

    private static uint FlagsOf(Iova? iova, DmaAccess access)
        => (uint)((iova is null ? 0 : IommuIoasMapFlags.FixedIova)
            | (access.HasFlag(DmaAccess.Read) ? IommuIoasMapFlags.Readable : 0)
            | (access.HasFlag(DmaAccess.Write) ? IommuIoasMapFlags.Writeable : 0));

    private async ValueTask<T> SendAsync<T>(IommuCommand command, T argument, UserBuffer[]? buffers, UserFile? file, CancellationToken cancellationToken)
        where T : unmanaged
    {
        var reply = await SendAsync(Request(command, in argument, buffers, file), cancellationToken);
        return IoctlResult.From((uint)command, reply).ThrowIfFailed().Read<T>();
    }
}
