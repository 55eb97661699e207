using IommuFd.GrainInterfaces.Wire;
using IommuFd.TestSupport;
using IommuFd.UnitTests.Support;

namespace IommuFd.UnitTests.Wire;

/// <summary>Bodies are read field by field, and never past their end.</summary>
public sealed class FrameReaderTests
{
    private delegate void Reading(ref FrameReader reader);

    [Fact]
    public void Fields_are_little_endian_and_end_with_the_body()
    {
        var reader = new FrameReader(new WireBytes().U8(1).U8(2, 3).U8(4, 5, 6, 7).U8(8, 9, 10, 11, 12, 13, 14, 15).Zeros(3).Text("é").ToArray());

        Expect.Equal((byte)1, reader.Byte(), "a byte");
        Expect.Equal((ushort)0x0302, reader.UInt16(), "two bytes");
        Expect.Equal(0x07060504u, reader.UInt32(), "four bytes");
        Expect.Equal(0x0F0E0D0C0B0A0908UL, reader.UInt64(), "eight bytes");
        reader.Reserved(3);
        Expect.Equal("é", reader.Text(2), "a text");
        reader.End();
    }

    [Fact]
    public void A_name_keeps_its_16_bytes()
    {
        byte[] bytes = [.. Enumerable.Range(1, 16).Select(i => (byte)i)];
        var name = new FrameReader(bytes).Name();

        Expect.Sequence(bytes, name.ToByteArray(), "the bytes of a name");
    }

    [Fact]
    public void No_field_is_read_past_the_end()
    {
        ExpectMalformed([], (ref FrameReader reader) => reader.Byte(), "a byte of none");
        ExpectMalformed([1], (ref FrameReader reader) => reader.UInt16(), "two bytes of one");
        ExpectMalformed(new byte[3], (ref FrameReader reader) => reader.UInt32(), "four bytes of three");
        ExpectMalformed(new byte[7], (ref FrameReader reader) => reader.UInt64(), "eight bytes of seven");
        ExpectMalformed(new byte[15], (ref FrameReader reader) => reader.Name(), "a name of 15");
        ExpectMalformed(new byte[2], (ref FrameReader reader) => reader.Reserved(3), "three reserved bytes of two");
        ExpectMalformed(new byte[2], (ref FrameReader reader) => reader.Bytes(3), "three bytes of two");
        ExpectMalformed(new byte[2], (ref FrameReader reader) => reader.Text(3), "a text of three of two");
        ExpectMalformed([1], (ref FrameReader reader) => reader.End(), "the end before a byte");
    }

    [Fact]
    public void A_number_is_at_most_what_is_permitted()
    {
        Expect.Equal(7, new FrameReader([7, 0, 0, 0]).Length(7), "a length at its limit");
        Expect.Equal(7, new FrameReader([7, 0]).ShortLength(7), "a short length at its limit");
        Expect.Equal((byte)2, new FrameReader([2]).Choice(2), "a choice at its limit");
        ExpectMalformed([8, 0, 0, 0], (ref FrameReader reader) => reader.Length(7), "a length beyond its limit");
        ExpectMalformed([0xFF, 0xFF, 0xFF, 0xFF], (ref FrameReader reader) => reader.Length(int.MaxValue), "a length that would be negative");
        ExpectMalformed([8, 0], (ref FrameReader reader) => reader.ShortLength(7), "a short length beyond its limit");
        ExpectMalformed([3], (ref FrameReader reader) => reader.Choice(2), "a choice beyond its limit");
    }

    [Theory]
    [InlineData(new byte[] { 0xFF })]
    [InlineData(new byte[] { 0xC3 })]
    [InlineData(new byte[] { 0xC0, 0x80 })]
    [InlineData(new byte[] { 0xED, 0xA0, 0x80 })]
    public void A_text_is_UTF_8(byte[] bytes) => ExpectMalformed(bytes, (ref FrameReader reader) => reader.Text(bytes.Length), $"the text {Convert.ToHexString(bytes)}");

    [Fact]
    public void Reserved_bytes_are_zero() => ExpectMalformed([0, 0, 1], (ref FrameReader reader) => reader.Reserved(3), "a reserved byte of 1");

    private static void ExpectMalformed(byte[] body, Reading reading, string what)
    {
        var malformed = Assert.Throws<FrameException>(() =>
        {
            var reader = new FrameReader(body);
            reading(ref reader);
        });
        Expect.Equal(ByeReason.Malformed, malformed.Reason, what);
    }
}
