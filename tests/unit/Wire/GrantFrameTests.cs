using IommuFd.GrainInterfaces;
using IommuFd.GrainInterfaces.Wire;
using IommuFd.TestSupport;
using IommuFd.Uapi;
using IommuFd.UnitTests.Support;

namespace IommuFd.UnitTests.Wire;

/// <summary>GRANT and a HELLO with a token, byte by byte.</summary>
public sealed class GrantFrameTests
{
    private static readonly byte[] Handle = [.. Enumerable.Range(0x10, 16).Select(i => (byte)i)];

    [Fact]
    public void GRANT_has_its_fields_at_their_places()
    {
        var writer = new FrameWriter();
        GrantFrame.Write(writer, 9, new ContextHandle(new Guid(Handle)), "token bob");
        var (handle, identity) = GrantFrame.Read(writer.Written.Span[12..]);

        Expect.Sequence(WireFrames.Grant(9, Handle, "token bob"), writer.Written.ToArray(), "GRANT");
        Expect.Sequence(Handle, handle.ToByteArray(), "the handle");
        Expect.Equal("token bob", identity, "the identity");
    }

    [Fact]
    public void Its_answer_has_its_fields_at_their_places()
    {
        var writer = new FrameWriter();
        GrantFrame.WriteAnswer(writer, 9, new GrantReply(Errno.EBADF, new ContextHandle(new Guid(Handle))));
        var reader = new FrameReader(writer.Written.Span[20..]);

        Expect.Sequence(new WireBytes().U8(0).Zeros(7).U32(9).Zeros(4).U8(Handle).Frame(0xB3, 9), writer.Written.ToArray(), "the answer");
        Expect.Equal(new GrantReply(Errno.EBADF, new ContextHandle(new Guid(Handle))), GrantFrame.ReadAnswer(ref reader), "what is read");
    }

    [Fact]
    public void A_GRANT_that_is_cut_or_too_long_is_malformed()
    {
        var whole = WireFrames.Grant(9, Handle, "user 1")[12..];
        for (var length = 0; length < whole.Length; length++)
        {
            Assert.Throws<FrameException>(() => GrantFrame.Read(whole.AsSpan(0, length)));
        }

        Assert.Throws<FrameException>(() => GrantFrame.Read([.. whole, 0]));
        Expect.Equal(512, GrantFrame.Read(WireFrames.Grant(9, Handle, new string('x', 512)).AsSpan(12)).Identity.Length, "the longest identity");
        Assert.Throws<FrameException>(() => GrantFrame.Read(WireFrames.Grant(9, Handle, new string('x', 513)).AsSpan(12)));
    }

    [Fact]
    public void HELLO_has_the_token_behind_the_name()
    {
        var writer = new FrameWriter();
        Hello.Write(writer, ConnectionRole.Calls, 7, "vmm", "secret");

        Expect.Sequence(WireFrames.Hello(WireFrames.Calls, program: 7, name: "vmm", tag: 0, token: "secret"), writer.Written.ToArray(), "HELLO");
    }
}
