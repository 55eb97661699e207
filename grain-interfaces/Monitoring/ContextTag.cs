using System.Buffers.Binary;
using System.Diagnostics.CodeAnalysis;
using System.Globalization;
using System.Security.Cryptography;
using System.Text;

namespace IommuFd.GrainInterfaces;

/// <summary>
/// The name of a context where people see it: the same on every silo and after every failover, and useless for acting on the context, since
/// it is a one-way hash of the handle.
/// </summary>
/// <param name="Value">64 bits.</param>
[GenerateSerializer, Immutable, Alias("IommuFd.ContextTag")]
public readonly record struct ContextTag([property: Id(0)] ulong Value)
{
    /// <summary>The tag of a handle.</summary>
    /// <param name="handle">The handle.</param>
    /// <returns>The first 64 bits of the SHA-256 of the handle's digits.</returns>
    public static ContextTag Of(ContextHandle handle)
    {
        Span<byte> digest = stackalloc byte[SHA256.HashSizeInBytes];
        SHA256.HashData(Encoding.ASCII.GetBytes(handle.ToString()), digest);
        return new ContextTag(BinaryPrimitives.ReadUInt64BigEndian(digest));
    }

    /// <summary>Reads the 16 hexadecimal digits that <see cref="ToString"/> writes.</summary>
    /// <param name="text">The text.</param>
    /// <param name="tag">The tag.</param>
    /// <returns>False if the text is not a tag.</returns>
    public static bool TryParse([NotNullWhen(true)] string? text, out ContextTag tag)
    {
        var value = 0ul;
        var valid = text is { Length: 16 } && ulong.TryParse(text, NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out value);
        tag = new ContextTag(value);
        return valid;
    }

    /// <inheritdoc/>
    public override string ToString() => Value.ToString("x16", CultureInfo.InvariantCulture);
}
