using System.Buffers.Binary;
using System.Diagnostics.CodeAnalysis;
using System.Security.Cryptography;

namespace IommuFd.GrainInterfaces;

/// <summary>The unguessable 128-bit name of a context. It grants access to the context, as a file descriptor does.</summary>
/// <param name="Value">The 128 bits.</param>
[GenerateSerializer, Immutable, Alias("IommuFd.ContextHandle")]
public readonly record struct ContextHandle([property: Id(0)] Guid Value)
{
    /// <summary>The context's name within the service, which does not lead back to the handle.</summary>
    public ContextKey Key => ContextKey.Of(this);

    /// <summary>Creates a handle from the system's cryptographic random numbers.</summary>
    /// <returns>The handle.</returns>
    public static ContextHandle NewRandom()
    {
        Span<byte> bytes = stackalloc byte[16];
        RandomNumberGenerator.Fill(bytes);
        return new ContextHandle(new Guid(bytes));
    }

    /// <summary>Reads the 32 hexadecimal digits that <see cref="ToString"/> writes.</summary>
    /// <param name="text">The text.</param>
    /// <param name="handle">The handle.</param>
    /// <returns>False if the text is not a handle.</returns>
    public static bool TryParse([NotNullWhen(true)] string? text, out ContextHandle handle)
    {
        var valid = Guid.TryParseExact(text, "N", out var value);
        handle = new ContextHandle(value);
        return valid;
    }

    /// <summary>The handle as 32 hexadecimal digits. It is a secret: logs and screens show the <see cref="ContextKey.Tag"/> of its key.</summary>
    /// <returns>The digits.</returns>
    public override string ToString() => Value.ToString("N");
}

/// <summary>
/// The name of a context within the service: the key of its grain and of its journal. It is a one-way hash of the handle, so that who reads it in a log, in a store or
/// from Orleans can't act on the context.
/// </summary>
/// <param name="Value">128 bits.</param>
[GenerateSerializer, Immutable, Alias("IommuFd.ContextKey")]
public readonly record struct ContextKey([property: Id(0)] Guid Value)
{
    /// <summary>The start of the key, by which people see the context.</summary>
    public ContextTag Tag
    {
        get
        {
            Span<byte> bytes = stackalloc byte[16];
            Value.TryWriteBytes(bytes, bigEndian: true, out _);
            return new ContextTag(BinaryPrimitives.ReadUInt64BigEndian(bytes));
        }
    }

    /// <summary>The key of a handle.</summary>
    /// <param name="handle">The handle.</param>
    /// <returns>The first 128 bits of the SHA-256 of the handle's 16 bytes, in the order of its digits.</returns>
    public static ContextKey Of(ContextHandle handle)
    {
        Span<byte> bytes = stackalloc byte[16];
        Span<byte> digest = stackalloc byte[SHA256.HashSizeInBytes];
        handle.Value.TryWriteBytes(bytes, bigEndian: true, out _);
        SHA256.HashData(bytes, digest);
        return new ContextKey(new Guid(digest[..16], bigEndian: true));
    }

    /// <summary>The key as 32 hexadecimal digits; the first 16 are the <see cref="Tag"/>'s.</summary>
    /// <returns>The digits.</returns>
    public override string ToString() => Value.ToString("N");
}
