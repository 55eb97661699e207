using IommuFd.GrainInterfaces;

namespace IommuFd.Devices;

/// <summary>An access of a device, or a part of one.</summary>
/// <param name="Ranges">The IOVAs.</param>
/// <param name="Buffer">The bytes, as long as the ranges together.</param>
/// <param name="Write">Whether the device writes memory.</param>
/// <param name="Pasid">The PASID; 0 for none.</param>
internal readonly record struct Access(ReadOnlyMemory<DmaRange> Ranges, Memory<byte> Buffer, bool Write, uint Pasid);

/// <summary>Cuts accesses into those that one request carries.</summary>
internal static class DmaParts
{
    /// <summary>The parts of an access that each fit a request, in order.</summary>
    /// <exception cref="ArgumentException">The ranges are not as long as the buffer.</exception>
    public static IEnumerable<Access> Of(Access access)
    {
        if (Length(access.Ranges.Span) != (ulong)access.Buffer.Length)
        {
            throw new ArgumentException("The IOVAs of an access are as long together as its buffer.", nameof(access));
        }

        return access.Ranges.Length <= IoctlLimits.MaxDmaRanges && (ulong)access.Buffer.Length <= IoctlLimits.MaxAccessBytes ? Whole(access) : Cut(access);
    }

    /// <summary>Cuts an access in two, at a page where it is one range; false for one that is no longer than a page.</summary>
    public static bool TrySplit(Access access, ulong pageBytes, out Access first, out Access second)
    {
        var ranges = access.Ranges.Span;
        if (ranges.Length > 1)
        {
            var half = ranges.Length / 2;
            return Split(access, access.Ranges[..half], access.Ranges[half..], out first, out second);
        }

        (first, second) = (access, default);
        if (ranges.Length == 0 || ranges[0].Length <= pageBytes)
        {
            return false;
        }

        var length = Math.Max(ranges[0].Length / 2 / pageBytes * pageBytes, pageBytes);
        var (low, high) = (new DmaRange(ranges[0].Iova, length), new DmaRange(ranges[0].Iova + length, ranges[0].Length - length));
        return Split(access, new[] { low }, new[] { high }, out first, out second);
    }

    private static bool Split(Access access, ReadOnlyMemory<DmaRange> low, ReadOnlyMemory<DmaRange> high, out Access first, out Access second)
    {
        var bytes = (int)Length(low.Span);
        (first, second) = (access with { Ranges = low, Buffer = access.Buffer[..bytes] }, access with { Ranges = high, Buffer = access.Buffer[bytes..] });
        return true;
    }

    private static IEnumerable<Access> Whole(Access access) => access.Buffer.IsEmpty ? [] : [access];

    private static IEnumerable<Access> Cut(Access access)
    {
        var (ranges, buffer, bytes) = (new List<DmaRange>(), access.Buffer, 0UL);
        for (var i = 0; i < access.Ranges.Length; i++)
        {
            for (var rest = access.Ranges.Span[i]; rest.Length > 0;)
            {
                var taken = Math.Min(rest.Length, IoctlLimits.MaxAccessBytes - bytes);
                ranges.Add(new DmaRange(rest.Iova, taken));
                rest = new DmaRange(rest.Iova + taken, rest.Length - taken);
                bytes += taken;
                if (ranges.Count == IoctlLimits.MaxDmaRanges || bytes == IoctlLimits.MaxAccessBytes)
                {
                    yield return access with { Ranges = ranges.ToArray(), Buffer = buffer[..(int)bytes] };
                    buffer = buffer[(int)bytes..];
                    (ranges, bytes) = ([], 0);
                }
            }
        }

        if (bytes > 0)
        {
            yield return access with { Ranges = ranges.ToArray(), Buffer = buffer };
        }
    }

    private static ulong Length(ReadOnlySpan<DmaRange> ranges)
    {
        var length = 0UL;
        foreach (var range in ranges)
        {
            length = checked(length + range.Length);
        }

        return length;
    }
}
