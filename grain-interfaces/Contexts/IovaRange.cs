namespace IommuFd.GrainInterfaces;

/// <summary>
/// An inclusive range of IOVAs. IOVAs use all of 64 bits, so a range is stored as its first and last IOVA: 2^64 bytes have an inclusive end
/// but no length. A range is never empty: Start is at most Last.
/// </summary>
/// <param name="Start">The first IOVA.</param>
/// <param name="Last">The last IOVA, inclusive.</param>
[GenerateSerializer, Immutable, Alias("IommuFd.IovaRange")]
public readonly record struct IovaRange([property: Id(0)] ulong Start, [property: Id(1)] ulong Last)
{
    /// <summary>Every IOVA.</summary>
    public static readonly IovaRange All = new(0, ulong.MaxValue);

    /// <summary>The bytes of the range; 0 stands for 2^64.</summary>
    public ulong LengthBytes => Last - Start + 1;

    /// <summary>The range with a start and a length.</summary>
    /// <param name="start">The first IOVA.</param>
    /// <param name="length">Bytes, at least 1.</param>
    /// <param name="range">The range.</param>
    /// <returns>False if it would extend past the last IOVA.</returns>
    public static bool TryOfLength(ulong start, ulong length, out IovaRange range)
    {
        range = new IovaRange(start, start + (length - 1));
        return range.Last >= start;
    }

    /// <summary>Whether the ranges have an IOVA in common.</summary>
    /// <param name="other">The other range.</param>
    /// <returns>True if they do.</returns>
    public bool Overlaps(IovaRange other) => Start <= other.Last && other.Start <= Last;

    /// <inheritdoc/>
    public override string ToString() => $"[0x{Start:X}, 0x{Last:X}]";
}
