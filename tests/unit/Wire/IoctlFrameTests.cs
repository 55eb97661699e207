using IommuFd.GrainInterfaces;
using IommuFd.GrainInterfaces.Wire;
using IommuFd.TestSupport;
using IommuFd.Uapi;
using IommuFd.UnitTests.Support;

namespace IommuFd.UnitTests.Wire;

/// <summary>Ioctls and their answers, byte by byte.</summary>
public sealed class IoctlFrameTests
{
    private static readonly byte[] Ticket = [.. Enumerable.Range(0x10, 16).Select(i => (byte)i)];

    [Fact]
    public void An_ioctl_has_its_fields_at_their_places()
    {
        var frame = IoctlFrame.Read(
            new WireBytes().U8(Ticket).U64(5, 4, 3).U32(0x3B85, 38).U8(1, 1, 1, 3).U32(6).U8(0xA0, 0xA1, 0xA2, 0xA3, 0xA4, 0xA5)
                .U8(2, 1).U16(3).U32(4).U64(0x1000, 8, 7, 6, 0x2000, 5).Text("1:2").U8(0xB0, 0xB1, 0xB2, 0xB3)
                .U8(1, 0).U16(2).U32(0).U64(0x3000).Text("77").ToArray());

        Expect.Sequence(Ticket, frame.Start.Ticket.ToByteArray(), "the ticket");
        Expect.Equal(new OperationId(5, 4, 3, IsRepeat: true), frame.Start.Operation, "the request's name");
        Expect.That(frame.Start.IsVerbose, "bit 0 of the flags asks for words");
        var request = frame.Request;
        Expect.Equal((0x3B85u, 38UL, ArgumentTail.NonZero), (request.Command, (ulong)request.WritableBytes, request.Tail), "command, writable bytes and tail");
        Expect.Sequence<byte>([0xA0, 0xA1, 0xA2, 0xA3, 0xA4, 0xA5], request.Argument, "the argument");
        var buffer = Assert.Single(request.Buffers!);
        Expect.Equal((2, 0x1000UL, 8UL, 7UL, 6UL), ((int)buffer.Index, buffer.Address, buffer.Length, buffer.ReadableBytes, buffer.WritableBytes), "the buffer");
        Expect.Equal(new FileMapping(new MappedFile("1:2"), 0x2000, 5), buffer.Mapping, "the buffer's mapping");
        Expect.Sequence<byte>([0xB0, 0xB1, 0xB2, 0xB3], buffer.Content, "the buffer's content");
        Expect.Equal(new UserFile("77", IsMemfd: true, 0x3000), request.File, "the file");
        Expect.Equal(null, frame.FileTicket, "the gateway's descriptor");
    }

    [Fact]
    public void A_descriptor_of_the_gateways_follows_as_its_ticket()
    {
        var frame = IoctlFrame.Read(WireFrames.IoctlBody(Ticket, 0x3B8F, new byte[40], file: 2).U8(Ticket).ToArray());

        Expect.Sequence(Ticket, frame.FileTicket!.Value.ToByteArray(), "the file's ticket");
        Expect.Equal(null, frame.Request.File, "the program's file");
    }

    [Fact]
    public void An_ioctl_that_is_cut_anywhere_is_malformed()
    {
        var whole = WireFrames.IoctlBody(Ticket, 0x3B85, new byte[40], buffers: 2, file: 1).Probed(0, 1, 2)
            .U8(1, 0).U16(0).U32(4).U64(0, 4, 4, 0, 0, 0).U32(9).U8(1, 0).U16(2).U32(0).U64(0x3000).Text("77").ToArray();
        Expect.Equal(2, IoctlFrame.Read(whole).Request.Buffers!.Length, "buffers of the whole frame");
        for (var length = 0; length < whole.Length; length++)
        {
            ExpectMalformed(new WireBytes().U8(whole.AsSpan(0, length)), $"an ioctl of {length} bytes of {whole.Length}");
        }

        ExpectMalformed(new WireBytes().U8(whole).Zeros(1), "an ioctl and a byte");
    }

    [Fact]
    public void Limits_are_kept()
    {
        Expect.Equal(4096, IoctlFrame.Read(WireFrames.IoctlBody(Ticket, 1, new byte[4096]).ToArray()).Request.Argument.Length, "the longest argument");
        ExpectMalformed(WireFrames.IoctlBody(Ticket, 1, new byte[4097]), "an argument of 4,097 bytes");
        Expect.Equal(1 << 20, IoctlFrame.Read(Content(1 << 20, 1 << 20, 1 << 20).ToArray()).Request.Buffers![0].Content.Length, "the longest content");
        ExpectMalformed(Content((1 << 20) + 1, (1 << 20) + 1, (1 << 20) + 1), "a content of more than 1 MiB");
        ExpectMalformed(Content(5, 4, 8), "more content than can be read");
        ExpectMalformed(Content(4, 9, 8), "more readable bytes than the buffer has");
        ExpectMalformed(Buffer(0).U32(0).U64(0, 8, 8, 9, 0, 0), "more writable bytes than the buffer has");
        ExpectMalformed(Buffer(0).U32(0).U64(0, 8, 8, 8, 0, 9), "more mapped bytes than the buffer has");
        ExpectMalformed(Buffer(3076).U32(0).U64(0, 8, 8, 8, 0, 8).Text(new string('i', 3076)), "an identity of more bytes than 1,025 characters have");
        ExpectMalformed(Buffer(1).U32(0).U64(0, 8, 8, 8, 0, 8).U8(0xFF), "an identity that is no UTF-8");
        ExpectMalformed(WireFrames.IoctlBody(Ticket, 1, new byte[8], file: 1).U8(2, 0).U16(0).U32(0).U64(0), "a memfd that is neither 0 nor 1");
        ExpectMalformed(WireFrames.IoctlBody(Ticket, 1, new byte[8], file: 1).U8(0, 1).U16(0).U32(0).U64(0), "a file with a reserved byte");
        ExpectMalformed(WireFrames.IoctlBody(Ticket, 1, new byte[8], file: 1).U8(0, 0).U16(0).U32(1).U64(0), "a file with a reserved field");
    }

    [Fact]
    public void Buffers_ascend()
    {
        Expect.Equal(3, IoctlFrame.Read(Buffers(0, 1, 255).ToArray()).Request.Buffers!.Length, "buffers in order");
        ExpectMalformed(Buffers(1, 0), "buffers out of order");
        ExpectMalformed(Buffers(0, 1, 1), "a buffer twice");
    }

    [Theory]
    [InlineData(0, 0, 0, true)]
    [InlineData(9, 1, 0, true)]
    [InlineData(9, 5, 4, true)]
    [InlineData(0, 1, 0, false)]
    [InlineData(0, 0, 1, false)]
    [InlineData(9, 0, 0, false)]
    [InlineData(9, 4, 4, false)]
    [InlineData(9, 5, -1, false)]
    [InlineData(9, -1, 0, false)]
    public void A_name_is_above_what_is_settled(long session, long sequence, long settled, bool isRight)
    {
        var body = new WireBytes().U8(Ticket).U64((ulong)session, (ulong)sequence, (ulong)settled).U32(0x3B80, 8).Zeros(4).U32(8).Zeros(8);
        if (isRight)
        {
            Expect.Equal(new OperationId(session, sequence, settled), IoctlFrame.Read(body.ToArray()).Start.Operation, "the request's name");
        }
        else
        {
            ExpectMalformed(body, $"session {session}, sequence {sequence}, settled {settled}");
        }
    }

    [Fact]
    public void An_answer_has_its_fields_at_their_places()
    {
        var writer = new FrameWriter();
        var reply = new IoctlReply
        {
            Errno = Errno.ENOENT,
            ReturnValue = 7,
            Argument = [0xA0, 0xA1],
            Buffers = [new UserBufferWrite(0x1000, [0xB0]) { IsOr = true, ZeroBytes = 3 }, new UserBufferWrite(0x2000, [])],
            Copy = new UserCopy(0x3000, [new UserMemoryPiece(null, 0x4000, 8), new UserMemoryPiece(new MappedFile("1:2"), 0x10, 4)], IsWrite: true),
            Diagnostic = new IoctlDiagnostic { Reason = (DiagnosticReason)5 },
            FailurePoints = 4,
        };
        IoctlAnswer.Write(writer, 9, reply, null, [new Guid(Ticket)], "why");

        Expect.Sequence(
            new WireBytes().U32(2, 7, 2).U16(2).U8(1, 0).U16(5, 1).U32(3, 4).U8(0xA0, 0xA1)
                .U64(0x1000).U32(1, 3).U8(1).Zeros(7).U8(0xB0)
                .U64(0x2000).U32(0, 0).U8(0).Zeros(7)
                .U64(0x3000).U8(1).Zeros(3).U32(2).U64(0x4000, 8).U16(0).Zeros(6).U64(0x10, 4).U16(3).Zeros(6).Text("1:2")
                .U8(Ticket).Text("why").Frame(0x90, 9),
            writer.Written.ToArray(), "the answer");
    }

    [Fact]
    public void An_answer_names_the_file_that_was_opened()
    {
        var writer = new FrameWriter();
        var reply = new IoctlReply { Argument = [1], File = new NewFile(12, new FileTarget(default, new ReferenceId(1), ObjectType.FaultQueue, new ObjectId(1))) };
        IoctlAnswer.Write(writer, 9, reply, new Guid(Ticket), [], null);

        Expect.Sequence(
            new WireBytes().U32(0, 0, 1).U16(0).U8(0, 1).U16(0, 0).U32(0, 0).U8(1).U16(12).Zeros(6).U8(Ticket).Frame(0x90, 9), writer.Written.ToArray(), "the answer with a claim");
    }

    private static WireBytes Buffer(ushort identity) => WireFrames.IoctlBody(Ticket, 1, new byte[8], buffers: 1).U8(0, 1).U16(identity);

    private static WireBytes Content(int content, ulong readable, ulong length)
        => WireFrames.IoctlBody(Ticket, 1, new byte[8], buffers: 1).U8(0, 0).U16(0).U32((uint)content).U64(0, length, readable, 0, 0, 0).Zeros(content);

    private static WireBytes Buffers(params byte[] indexes)
    {
        var body = WireFrames.IoctlBody(Ticket, 1, new byte[8], buffers: (byte)indexes.Length);
        return indexes.Aggregate(body, (all, index) => all.Probed(index, 0, 1));
    }

    private static void ExpectMalformed(WireBytes body, string what)
        => Expect.Equal(ByeReason.Malformed, Assert.Throws<FrameException>(() => IoctlFrame.Read(body.ToArray())).Reason, what);
}
