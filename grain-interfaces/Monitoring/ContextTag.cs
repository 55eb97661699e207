using System.Diagnostics.CodeAnalysis;
using System.Globalization;

namespace IommuFd.GrainInterfaces;

/// <summary>
/// The name of a context where people see it: the start of its <see cref="ContextKey"/>. It is the same on every silo and after every failover,
/// and useless for acting on the context.
/// </summary>
/// <param name="Value">64 bits.</param>
[GenerateSerializer, Immutable, Alias("IommuFd.ContextTag")]
public readonly record struct ContextTag([property: Id(0)] ulong Value)
{
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
