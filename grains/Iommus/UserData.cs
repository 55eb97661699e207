using IommuFd.Uapi;

namespace IommuFd.Grains.Iommus;

// Structs that grow from version to version, in a caller's buffers. A caller's struct may be shorter than the one that is known, down to its first version;
// what it lacks is zero. Drivers take no longer one (the kernel's iommu_copy_struct_from_user), unless an array is copied as a whole: then the rest of each
// entry must be zero (iommu_copy_struct_from_full_user_array, copy_struct_from_user).

/// <summary>Extensible structs in a caller's buffers.</summary>
internal static class UserData
{
    /// <summary>Copies a struct: EINVAL where it is too short or too long, EFAULT where a byte can't be read.</summary>
    /// <param name="content">The leading bytes of it that can be read.</param>
    /// <param name="length">Bytes that the caller declares.</param>
    /// <param name="least">The fewest bytes that will do.</param>
    /// <param name="known">Gets the struct: what the caller's lacks is zero.</param>
    public static Errno Copy(ReadOnlySpan<byte> content, uint length, int least, Span<byte> known)
        => length < (uint)least || length > (uint)known.Length ? Errno.EINVAL : CopyAny(content, length, known);

    /// <summary>Copies an entry of an array, by the same rules.</summary>
    /// <param name="entries">The array.</param>
    /// <param name="index">The entry.</param>
    /// <param name="least">The fewest bytes that will do.</param>
    /// <param name="known">Gets the struct.</param>
    public static Errno Copy(in InvalidationEntries entries, uint index, int least, Span<byte> known)
        => Copy(entries.From(index), entries.Length, least, known);

    /// <summary>Copies an entry of an array that is copied as a whole: of any length, E2BIG where a byte behind the known ones isn't zero.</summary>
    /// <param name="entries">The array.</param>
    /// <param name="index">The entry.</param>
    /// <param name="known">Gets the struct.</param>
    public static Errno CopyAny(in InvalidationEntries entries, uint index, Span<byte> known) => CopyAny(entries.From(index), entries.Length, known);

    private static Errno CopyAny(ReadOnlySpan<byte> content, uint length, Span<byte> known)
    {
        known.Clear();
        var readable = content[..(int)Math.Min((uint)content.Length, length)];
        if (readable.Length > known.Length && readable[known.Length..].ContainsAnyExcept((byte)0))
        {
            return Errno.E2BIG;
        }

        if ((uint)readable.Length < length)
        {
            return Errno.EFAULT;
        }

        readable[..Math.Min(readable.Length, known.Length)].CopyTo(known);
        return Errno.None;
    }
}

/// <summary>The entries that an object takes for invalidations.</summary>
/// <param name="Type">Their kind.</param>
/// <param name="Bytes">Bytes of each.</param>
/// <param name="IsExact">Whether a caller's entry must have just as many; otherwise what it lacks is zero, and what it has beyond must be.</param>
internal readonly record struct InvalidationFormat(IommuHwptInvalidateDataType Type, int Bytes, bool IsExact);

/// <summary>The entries of an <c>IOMMU_HWPT_INVALIDATE</c>, as found in the caller's memory.</summary>
/// <param name="Type">Their kind.</param>
/// <param name="Length">Bytes of each.</param>
/// <param name="Count">How many the caller declares.</param>
/// <param name="Content">The leading bytes of the array that can be read.</param>
[GenerateSerializer, Immutable, Alias("IommuFd.InvalidationEntries")]
internal readonly record struct InvalidationEntries(
    [property: Id(0)] IommuHwptInvalidateDataType Type, [property: Id(1)] uint Length, [property: Id(2)] uint Count, [property: Id(3)] byte[] Content)
{
    /// <summary>What can be read from an entry on.</summary>
    public ReadOnlySpan<byte> From(uint index)
        => (ulong)index * Length is var start && start < (ulong)Content.Length ? Content.AsSpan((int)start) : [];
}
