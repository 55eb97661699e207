using IommuFd.GrainInterfaces;
using IommuFd.Uapi;

namespace IommuFd.Grains.Iommus;

// The kernel's copy_struct_from_user and what iommufd builds on it: structs that grow from version to version. A caller's struct may be shorter than the
// one that is known, down to its first version, and what it lacks is zero; it may be longer if the rest is zero.

/// <summary>Extensible structs in a caller's buffers.</summary>
internal static class UserData
{
    /// <summary>Copies a struct: EINVAL where it is too short, E2BIG where a byte behind the known ones isn't zero, EFAULT where one can't be read.</summary>
    /// <param name="content">The leading bytes of it that can be read.</param>
    /// <param name="length">Bytes that the caller declares.</param>
    /// <param name="least">The fewest bytes that will do.</param>
    /// <param name="known">Gets the struct, as far as it is known: what the caller's lacks is zero.</param>
    public static Errno Copy(ReadOnlySpan<byte> content, uint length, int least, Span<byte> known)
    {
        known.Clear();
        if (length < (uint)least)
        {
            return Errno.EINVAL;
        }

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

    /// <summary>Copies an entry of an array of structs, by the rules of <see cref="Copy(ReadOnlySpan{byte}, uint, int, Span{byte})"/>.</summary>
    /// <param name="entries">The array.</param>
    /// <param name="index">The entry.</param>
    /// <param name="least">The fewest bytes that will do.</param>
    /// <param name="known">Gets the struct.</param>
    public static Errno Copy(InvalidationEntries entries, uint index, int least, Span<byte> known)
    {
        var start = (ulong)index * entries.Length;
        var content = start < (ulong)entries.Content.Length ? entries.Content.AsSpan((int)start) : [];
        return Copy(content, entries.Length, least, known);
    }
}

/// <summary>The entries of an <c>IOMMU_HWPT_INVALIDATE</c>, as found in the caller's memory.</summary>
/// <param name="Type">Their kind.</param>
/// <param name="Length">Bytes of each.</param>
/// <param name="Count">How many the caller declares.</param>
/// <param name="Content">The leading bytes of the array that can be read.</param>
[GenerateSerializer, Immutable, Alias("IommuFd.InvalidationEntries")]
internal readonly record struct InvalidationEntries(
    [property: Id(0)] IommuHwptInvalidateDataType Type, [property: Id(1)] uint Length, [property: Id(2)] uint Count, [property: Id(3)] byte[] Content);
