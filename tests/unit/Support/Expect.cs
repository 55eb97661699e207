using System.Diagnostics.CodeAnalysis;
using System.Globalization;

namespace IommuFd.UnitTests.Support;

/// <summary>Assertions that say what was expected of which object. Loops check through these, so that a failure names its round.</summary>
internal static class Expect
{
    public static void Equal<T>(T expected, T actual, string what)
    {
        if (!EqualityComparer<T>.Default.Equals(expected, actual))
        {
            Assert.Fail($"{what}: expected {Show(expected)}, was {Show(actual)}.");
        }
    }

    public static void Sequence<T>(IEnumerable<T> expected, IEnumerable<T> actual, string what)
    {
        T[] wanted = [.. expected];
        T[] got = [.. actual];
        if (!wanted.AsSpan().SequenceEqual(got, EqualityComparer<T>.Default))
        {
            Assert.Fail($"{what}: expected [{Show(wanted)}], was [{Show(got)}].");
        }
    }

    public static void That([DoesNotReturnIf(false)] bool condition, string what)
    {
        if (!condition)
        {
            Assert.Fail(what);
        }
    }

    private static string Show<T>(T[] values) => string.Join(", ", values.Select(value => Show(value)));

    private static string Show<T>(T value) => value switch
    {
        null => "null",
        ulong number => string.Create(CultureInfo.InvariantCulture, $"{number} (0x{number:X})"),
        string text => $"\"{text}\"",
        byte[] bytes => Convert.ToHexString(bytes),
        _ => value.ToString()!,
    };
}
