using System.Buffers.Binary;
using System.Runtime.CompilerServices;
using IommuFd.Uapi;

namespace IommuFd.Grains.Vfio.Compat;

// VFIO_IOMMU_GET_INFO writes as much as the buffer has room for, and says in argsz how much there is. A capability that has no room is left out, but of the list of IOVAs
// each range that has room is written, also where the list's head has none.

/// <summary>The answer to VFIO_IOMMU_GET_INFO: the struct and its chain of capabilities.</summary>
internal static class CompatInfo
{
    private const ushort IovaRanges = 1, DmaAvailable = 3, Version = 1;

    private const int HeaderBytes = 8, DmaAvailableBytes = HeaderBytes + sizeof(uint), RangesHeadBytes = HeaderBytes + (2 * sizeof(uint)), RangeBytes = 2 * sizeof(ulong);

    /// <param name="argument">The argument before, as far as it travels.</param>
    /// <param name="argsz">Bytes of the caller's buffer.</param>
    /// <param name="pageSizes">The sizes of pages.</param>
    /// <param name="ranges">The IOVAs that can be mapped.</param>
    /// <returns>The bytes from the argument's start on, up to the last that is written.</returns>
    public static byte[] Write(ReadOnlySpan<byte> argument, uint argsz, ulong pageSizes, ReadOnlySpan<IommuIovaRange> ranges)
    {
        var infoBytes = Unsafe.SizeOf<VfioIommuType1Info>();
        var rangesAt = infoBytes + (((DmaAvailableBytes + 7) / 8) * 8);
        var total = rangesAt + RangesHeadBytes + (RangeBytes * ranges.Length);
        var bytes = new byte[(int)Math.Min(argsz, (uint)total)];
        argument[..Math.Min(argument.Length, bytes.Length)].CopyTo(bytes);
        if (bytes.Length >= infoBytes + DmaAvailableBytes)
        {
            WriteHeader(bytes.AsSpan(infoBytes), DmaAvailable);
            BinaryPrimitives.WriteUInt32LittleEndian(bytes.AsSpan(infoBytes + HeaderBytes), uint.MaxValue);
        }

        for (var i = 0; i < ranges.Length && bytes.Length >= rangesAt + RangesHeadBytes + (RangeBytes * (i + 1)); i++)
        {
            var at = bytes.AsSpan(rangesAt + RangesHeadBytes + (RangeBytes * i));
            BinaryPrimitives.WriteUInt64LittleEndian(at, ranges[i].Start);
            BinaryPrimitives.WriteUInt64LittleEndian(at[sizeof(ulong)..], ranges[i].Last);
        }

        if (bytes.Length == total)
        {
            WriteHeader(bytes.AsSpan(rangesAt), IovaRanges);
            BinaryPrimitives.WriteInt32LittleEndian(bytes.AsSpan(rangesAt + HeaderBytes), ranges.Length);
            bytes.AsSpan(rangesAt + HeaderBytes + sizeof(uint), sizeof(uint)).Clear();
        }

        if (bytes.Length >= rangesAt)
        {
            BinaryPrimitives.WriteInt32LittleEndian(bytes.AsSpan(infoBytes + 4), rangesAt);
        }

        var info = new VfioIommuType1Info
        {
            Argsz = (uint)total,
            Flags = (uint)(VfioIommuInfoFlags.PageSizes | VfioIommuInfoFlags.Capabilities),
            IovaPgsizes = pageSizes,
            CapOffset = argsz >= total ? (uint)infoBytes : 0,
        };
        UapiStruct.ToBytes(in info, Math.Min(infoBytes, bytes.Length)).CopyTo(bytes, 0);
        return bytes;
    }

    private static void WriteHeader(Span<byte> at, ushort id)
    {
        BinaryPrimitives.WriteUInt16LittleEndian(at, id);
        BinaryPrimitives.WriteUInt16LittleEndian(at[2..], Version);
        at[4..HeaderBytes].Clear();
    }
}
