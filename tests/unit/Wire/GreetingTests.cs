using IommuFd.GrainInterfaces.Wire;
using IommuFd.TestSupport;
using IommuFd.UnitTests.Support;

namespace IommuFd.UnitTests.Wire;

/// <summary>HELLO, WELCOME and BYE, byte by byte.</summary>
public sealed class GreetingTests
{
    [Fact]
    public void HELLO_has_its_fields_at_their_places()
    {
        var hello = Hello.Read(
            (byte[])[0x49, 0x4F, 0x4D, 0x46, 1, 0, 3, 0, 2, 0, 0, 0, 0, 0, 0, 0, 8, 7, 6, 5, 4, 3, 2, 1, 3, 0, 2, 0, 0, 0, 0, 0, (byte)'v', (byte)'m', (byte)'m', (byte)'t', (byte)'k']);

        Expect.Equal(new Hello(1, 3, ConnectionRole.Descriptor, 0x0102030405060708, "vmm", "tk"), hello, "HELLO");
    }

    [Fact]
    public void A_name_of_128_and_a_token_of_1024_bytes_are_the_longest()
    {
        var hello = Hello.Read(Greeting(128, 1024).Text(new string('n', 128)).Text(new string('t', 1024)).ToArray());

        Expect.Equal((128, 1024), (hello.Name.Length, hello.Token.Length), "lengths of name and token");
        ExpectMalformed(Greeting(129, 0).Text(new string('n', 129)), "a name of 129 bytes");
        ExpectMalformed(Greeting(0, 1025).Text(new string('t', 1025)), "a token of 1,025 bytes");
    }

    [Theory]
    [InlineData(1, 1, true)]
    [InlineData(0, 1, true)]
    [InlineData(1, 65535, true)]
    [InlineData(0, 0, false)]
    [InlineData(2, 3, false)]
    [InlineData(2, 1, false)]
    public void Both_sides_speak_a_version(ushort lowest, ushort highest, bool isCommon)
    {
        var hello = Hello.Read(WireFrames.HelloBody(WireFrames.Calls, lowest: lowest, highest: highest).ToArray());
        var refused = Record.Exception(hello.Check) as FrameException;

        Expect.Equal(isCommon ? null : ByeReason.NoCommonVersion, refused?.Reason, $"versions {lowest} to {highest}");
    }

    [Fact]
    public void A_HELLO_that_is_cut_anywhere_is_malformed()
    {
        var whole = WireFrames.HelloBody(WireFrames.Calls).ToArray();
        for (var length = 0; length < whole.Length; length++)
        {
            ExpectMalformed(new WireBytes().U8(whole.AsSpan(0, length)), $"HELLO of {length} bytes of {whole.Length}");
        }

        ExpectMalformed(new WireBytes().U8(whole).Zeros(1), "HELLO and a byte");
    }

    [Fact]
    public void WELCOME_has_its_fields_at_their_places()
    {
        var writer = new FrameWriter();
        new Welcome(0x00400000, 256, 0x0102030405060708, [0xAA, 0xBB, 0xCC]).Write(writer, 9);

        Expect.Sequence<byte>(
            [27, 0, 0, 0, 0x81, 0, 0, 0, 9, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0x40, 0, 0, 1, 0, 0, 3, 0, 0, 0, 8, 7, 6, 5, 4, 3, 2, 1, 0xAA, 0xBB, 0xCC],
            writer.Written.ToArray(), "WELCOME");
    }

    [Fact]
    public void BYE_has_its_fields_at_their_places_and_at_most_512_bytes_of_text()
    {
        var writer = new FrameWriter();
        Bye.Write(writer, 7, ByeReason.Limit, "no");
        Expect.Sequence<byte>([6, 0, 0, 0, 0xFF, 0, 0, 0, 7, 0, 0, 0, 4, 0, 2, 0, (byte)'n', (byte)'o'], writer.Written.ToArray(), "BYE");

        writer.Clear();
        Bye.Write(writer, 7, ByeReason.Malformed, new string('x', 600));
        Expect.Sequence(new WireBytes().U16(1, 512).Text(new string('x', 512)).Frame(0xFF, 7), writer.Written.ToArray(), "BYE with a long text");
    }

    [Fact]
    public void Kinds_and_reasons_have_the_pages_numbers()
    {
        Expect.Sequence<int>(
            [0x01, 0x02, 0x03, 0x04, 0x05, 0x10, 0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17, 0x20, 0x80, 0xFF],
            ((FrameKind[])[
                FrameKind.Hello, FrameKind.Open, FrameKind.Claim, FrameKind.Prove, FrameKind.Pad, FrameKind.Ioctl, FrameKind.Read, FrameKind.Write, FrameKind.Took, FrameKind.Resolve,
                FrameKind.Closed, FrameKind.Discard, FrameKind.Pinned, FrameKind.Look, FrameKind.Answer, FrameKind.Bye]).Select(kind => (int)kind),
            "kinds of frames");
        Expect.Sequence<int>(
            [1, 2, 3, 4, 5, 6],
            ((ByeReason[])[ByeReason.Malformed, ByeReason.NoCommonVersion, ByeReason.NotPermitted, ByeReason.Limit, ByeReason.TooSlow, ByeReason.Stopping]).Select(reason => (int)reason),
            "reasons of BYE");
    }

    private static WireBytes Greeting(ushort name, ushort token) => new WireBytes().U32(WireFrames.Magic).U16(1, 1).U8(1).Zeros(7).U64(1).U16(name, token).Zeros(4);

    private static void ExpectMalformed(WireBytes body, string what)
        => Expect.Equal(ByeReason.Malformed, Assert.Throws<FrameException>(() => Hello.Read(body.ToArray())).Reason, what);
}
