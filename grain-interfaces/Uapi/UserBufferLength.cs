namespace IommuFd.Uapi;

/// <summary>How a buffer's length follows from the fields of the argument that points to it.</summary>
public enum UserBufferRule
{
    /// <summary>A field times a constant.</summary>
    Factor = 0,

    /// <summary>One field times another.</summary>
    Product,

    /// <summary>One bit for each page, the last one included where it is cut, in whole 64-bit words: a field has the bytes, another the bytes of a page.</summary>
    BitmapWords,

    /// <summary>One bit for each whole page, in whole bytes: a field has the bytes, another the bytes of a page.</summary>
    BitmapBytes,
}

/// <summary>
/// A buffer's length. It is data and not code, so that programs in other languages get it from the gateway instead of having it a second time.
/// </summary>
/// <param name="Rule">How the fields make the length.</param>
/// <param name="A">The first field.</param>
/// <param name="B">The second field; null with <see cref="UserBufferRule.Factor"/>.</param>
/// <param name="Factor">The constant of <see cref="UserBufferRule.Factor"/>.</param>
public sealed record UserBufferLength(UserBufferRule Rule, UapiField A, UapiField? B = null, int Factor = 1)
{
    /// <summary>Computes the length. Fields behind the argument's bytes are zero, as for every older caller.</summary>
    /// <param name="argument">The argument.</param>
    /// <returns>Bytes, saturated at 2^64 - 1; 0 where the second field is the size of a page and is 0.</returns>
    public ulong Of(ReadOnlySpan<byte> argument)
    {
        UInt128 a = FieldOf(argument, A);
        UInt128 b = B is null ? (uint)Factor : FieldOf(argument, B);
        var length = Rule switch
        {
            UserBufferRule.Factor or UserBufferRule.Product => a * b,
            _ when b == 0 => UInt128.Zero,
            UserBufferRule.BitmapWords => (((a + b - 1) / b) + 63) / 64 * 8,
            _ => ((a / b) + 7) / 8,
        };
        return (ulong)UInt128.Min(length, ulong.MaxValue);
    }

    private static ulong FieldOf(ReadOnlySpan<byte> argument, UapiField field)
    {
        var bytes = argument[Math.Min(field.Offset, argument.Length)..];
        return field.Size == sizeof(uint) ? UapiStruct.Read<uint>(bytes) : UapiStruct.Read<ulong>(bytes);
    }
}

/// <summary>The value that a 32-bit field must have for a part of a union to be the one in use.</summary>
/// <param name="Offset">The field's offset in the argument.</param>
/// <param name="Value">The value.</param>
public readonly record struct UapiSelector(int Offset, uint Value)
{
    /// <summary>Whether the argument has the value.</summary>
    /// <param name="argument">The argument. Bytes that it lacks are zero.</param>
    /// <returns>Whether the field is equal.</returns>
    public bool Selects(ReadOnlySpan<byte> argument) => UapiStruct.Read<uint>(argument[Math.Min(Offset, argument.Length)..]) == Value;
}
