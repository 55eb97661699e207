using System.Diagnostics.CodeAnalysis;
using System.Security.Cryptography;

namespace IommuFd.GrainInterfaces;

/// <summary>The unguessable 128-bit name of a context. It grants access to the context, as a file descriptor does.</summary>
/// <param name="Value">The 128 bits; also the key of the context's grain.</param>
[GenerateSerializer, Immutable, Alias("IommuFd.ContextHandle")]
public readonly record struct ContextHandle([property: Id(0)] Guid Value)
{
    /// <summary>Digits of a handle that may be shown: enough to tell contexts apart, too few to act on one.</summary>
    public const int ShownDigits = 8;

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

    /// <summary>The whole handle as 32 hexadecimal digits. It is a secret: logs and screens show <see cref="ToShortString"/>.</summary>
    /// <returns>The digits.</returns>
    public override string ToString() => Value.ToString("N");

    /// <summary>The first eight digits, enough to tell contexts apart, too few to act on one.</summary>
    /// <returns>The digits and an ellipsis.</returns>
    public string ToShortString() => string.Concat(Value.ToString("N").AsSpan(0, ShownDigits), "…");
}
