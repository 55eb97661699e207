using IommuFd.Uapi;

namespace IommuFd.UnitTests.Uapi;

/// <summary>How long a buffer is, by the rules that programs in other languages are given too.</summary>
public sealed class UserBufferLengthTests
{
    private static readonly UapiField A = Field(8), B = Field(16);

    [Theory]
    [InlineData(0, 0)]
    [InlineData(3, 48)]
    [InlineData(ulong.MaxValue, ulong.MaxValue)]
    public void A_factor_multiplies_a_field(ulong a, ulong expected) => Expect(expected, new UserBufferLength(UserBufferRule.Factor, A, Factor: 16), a, 0);

    [Theory]
    [InlineData(3, 5, 15)]
    [InlineData(3, 0, 0)]
    [InlineData(1UL << 32, 1UL << 32, ulong.MaxValue)]
    public void A_product_saturates(ulong a, ulong b, ulong expected) => Expect(expected, new UserBufferLength(UserBufferRule.Product, A, B), a, b);

    [Theory]
    [InlineData(0, 4096, 0)]
    [InlineData(1, 4096, 8)]
    [InlineData(64 * 4096, 4096, 8)]
    [InlineData((64 * 4096) + 1, 4096, 16)]
    [InlineData(100, 0, 0)]
    [InlineData(ulong.MaxValue, 1, 1UL << 61)]
    public void Bitmaps_of_words_have_a_bit_for_a_page_that_is_cut(ulong a, ulong b, ulong expected) => Expect(expected, new UserBufferLength(UserBufferRule.BitmapWords, A, B), a, b);

    [Theory]
    [InlineData(4095, 4096, 0)]
    [InlineData(4096, 4096, 1)]
    [InlineData(8 * 4096, 4096, 1)]
    [InlineData(9 * 4096, 4096, 2)]
    [InlineData(100, 0, 0)]
    [InlineData(ulong.MaxValue, 1, 1UL << 61)]
    public void Bitmaps_of_bytes_have_bits_for_whole_pages(ulong a, ulong b, ulong expected) => Expect(expected, new UserBufferLength(UserBufferRule.BitmapBytes, A, B), a, b);

    [Fact]
    public void Fields_behind_the_arguments_bytes_are_zero()
    {
        var rule = new UserBufferLength(UserBufferRule.Factor, A);
        byte[] argument = [.. new byte[8], 0xFF, 0xFF];

        Support.Expect.Equal(0xFFFFUL, rule.Of(argument), "a field of which two bytes are there");
        Support.Expect.Equal(0UL, rule.Of(argument.AsSpan(0, 8)), "a field of which nothing is there");
        Support.Expect.Equal(0UL, rule.Of([]), "a field of no argument");
    }

    private static void Expect(ulong expected, UserBufferLength rule, ulong a, ulong b)
        => Support.Expect.Equal(expected, rule.Of([.. new byte[8], .. BitConverter.GetBytes(a), .. BitConverter.GetBytes(b)]), $"{rule.Rule} of {a} and {b}");

    private static UapiField Field(int offset) => new("field", offset, sizeof(ulong), IsSigned: false);
}
