using System.Globalization;

namespace IommuFd.Silo.Gateway;

/// <summary>Numbers of bytes as people write them: <c>512M</c>.</summary>
internal static class ByteSize
{
    private const int MostBits = 42;

    /// <summary>Reads a number, and K, M or G for what it is multiplied by; at most 4096G.</summary>
    public static bool TryParse(string text, out ulong bytes)
    {
        var shift = text.Length == 0 ? 0 : char.ToUpperInvariant(text[^1]) switch { 'K' => 10, 'M' => 20, 'G' => 30, _ => 0 };
        var isNumber = ulong.TryParse(shift == 0 ? text : text[..^1], NumberStyles.None, CultureInfo.InvariantCulture, out var number) && number <= (1UL << MostBits) >> shift;
        bytes = isNumber ? number << shift : 0;
        return isNumber;
    }
}
