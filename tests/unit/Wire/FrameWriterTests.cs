using IommuFd.GrainInterfaces.Wire;
using IommuFd.TestSupport;
using IommuFd.UnitTests.Support;

namespace IommuFd.UnitTests.Wire;

/// <summary>Frames are written one behind the other, and their lengths are those of their bodies.</summary>
public sealed class FrameWriterTests
{
    [Fact]
    public void A_frame_has_a_header_of_12_bytes_before_its_fields()
    {
        var writer = new FrameWriter();
        var at = writer.Begin(FrameKind.Look, 0x01020304);
        writer.Byte(1);
        writer.UInt16(0x0302);
        writer.UInt32(0x07060504);
        writer.UInt64(0x0F0E0D0C0B0A0908);
        writer.Reserved(2);
        writer.Bytes([0xAA, 0xBB]);
        writer.Finish(at);

        Expect.Sequence<byte>(
            [19, 0, 0, 0, 0x20, 0, 0, 0, 4, 3, 2, 1, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 0, 0, 0xAA, 0xBB],
            writer.Written.ToArray(), "a frame with each kind of field");
    }

    [Fact]
    public void Frames_follow_each_other_through_every_growth()
    {
        var writer = new FrameWriter();
        var expected = new List<byte>();
        for (uint i = 0; i < 200; i++)
        {
            var at = writer.Begin(FrameKind.Read, i);
            writer.Bytes(new byte[i]);
            writer.Finish(at);
            expected.AddRange(new WireBytes().Zeros((int)i).Frame(0x11, i));
        }

        Expect.Sequence(expected, writer.Written.ToArray(), "200 frames");
    }

    [Fact]
    public void What_one_frame_has_let_the_buffer_grow_to_is_written_anew_after_it()
    {
        var writer = new FrameWriter();
        writer.Bytes(Enumerable.Repeat((byte)0xFF, 1 << 20).ToArray());
        writer.Clear();
        writer.Finish(writer.Begin(FrameKind.Closed, 1));

        Expect.Sequence(new WireBytes().Frame(0x15, 1), writer.Written.ToArray(), "an empty frame after a large one");
    }

    [Fact]
    public void A_count_that_does_not_fit_its_field_is_a_bug()
        => Assert.Throws<OverflowException>(() => new FrameWriter().UInt16(65536));

    [Theory]
    [InlineData("", 8, "")]
    [InlineData("abc", 8, "abc")]
    [InlineData("abcdef", 3, "abc")]
    [InlineData("ééé", 5, "éé")]
    [InlineData("a😀", 4, "a")]
    public void A_text_is_cut_between_characters(string text, int most, string expected)
        => Expect.Sequence(new WireBytes().Text(expected).ToArray(), FrameWriter.Utf8(text, most), $"'{text}' in {most} bytes");
}
