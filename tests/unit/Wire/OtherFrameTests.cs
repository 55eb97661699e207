using IommuFd.GrainInterfaces;
using IommuFd.GrainInterfaces.Wire;
using IommuFd.TestSupport;
using IommuFd.Uapi;
using IommuFd.UnitTests.Support;

namespace IommuFd.UnitTests.Wire;

/// <summary>Reads and writes of files, and questions about memory, byte by byte.</summary>
public sealed class OtherFrameTests
{
    private static readonly byte[] Ticket = [.. Enumerable.Range(0x10, 16).Select(i => (byte)i)];

    [Fact]
    public void READ_and_WRITE_have_their_fields_at_their_places()
    {
        var read = FileFrame.Read(new WireBytes().U8(Ticket).U64(5, 4, 3, 100).U8(2).Zeros(3).U32(80).ToArray(), isWrite: false);
        var write = FileFrame.Read(new WireBytes().U8(Ticket).U64(5, 4, 3, 100).U8(1).Zeros(3).U32(3).U8(7, 8, 9).ToArray(), isWrite: true);

        Expect.Sequence(Ticket, read.Start.Ticket.ToByteArray(), "the ticket");
        Expect.Equal(new OperationId(5, 4, 3, IsRepeat: true), read.Start.Operation, "the read's name");
        Expect.Equal(new ReadFileRequest(100, 80), read.Request, "the read");
        Expect.Equal((false, true), (read.Start.IsVerbose, write.Start.IsVerbose), "who asks for words");
        var written = Assert.IsType<WriteFileRequest>(write.Request);
        Expect.Equal(100UL, written.Count, "the count of the write");
        Expect.Sequence<byte>([7, 8, 9], written.Content, "the content of the write");
    }

    [Fact]
    public void READ_and_WRITE_that_are_cut_or_too_long_are_malformed()
    {
        ExpectCut(WireFrames.Read(1, Ticket, 8)[12..], body => FileFrame.Read(body, isWrite: false), "READ");
        ExpectCut(WireFrames.Write(1, Ticket, [1, 2, 3])[12..], body => FileFrame.Read(body, isWrite: true), "WRITE");
        Expect.Equal(1 << 20, ((WriteFileRequest)FileFrame.Read(WireFrames.Write(1, Ticket, new byte[1 << 20]).AsSpan(12), isWrite: true).Request).Content.Length, "the longest content");
        Assert.Throws<FrameException>(() => FileFrame.Read(WireFrames.Write(1, Ticket, new byte[(1 << 20) + 1]).AsSpan(12), isWrite: true));
        Assert.Throws<FrameException>(() => FileFrame.Read(new WireBytes().U8(Ticket).Zeros(24).U64(8).U8(4).Zeros(3).U32(8).ToArray(), isWrite: false));
    }

    [Fact]
    public void Their_answers_have_their_fields_at_their_places()
    {
        var writer = new FrameWriter();
        FileFrame.WriteAnswer(writer, FrameKind.Read, 9, new FileReply(Errno.None, 2, [7, 8]), takesMark: true, null);
        FileFrame.WriteAnswer(writer, FrameKind.Write, 10, new FileReply(Errno.EINVAL), takesMark: false, "why");

        Expect.Sequence<byte>(
            [
                .. new WireBytes().U32(0, 2).U8(1).Zeros(3).U32(2, 0).Zeros(4).U8(7, 8).Frame(0x91, 9),
                .. new WireBytes().U32(22, 0).U8(0).Zeros(3).U32(0, 3).Zeros(4).Text("why").Frame(0x92, 10),
            ],
            writer.Written.ToArray(), "the answers");
    }

    [Fact]
    public void LOOK_has_its_fields_at_their_places()
    {
        var writer = new FrameWriter();
        LookFrame.Write(writer, 9, [new MemoryPiece(null, 0x1000, 0x2000, Write: true, WasPresent: false), new MemoryPiece(new MappedFile("1:2"), 0x30, 0x40, Write: false, WasPresent: true)]);

        Expect.Sequence(
            new WireBytes().U32(2).Zeros(4).U64(0x1000, 0x2000).U8(1, 0).U16(0).Zeros(4).U64(0x30, 0x40).U8(2, 0).U16(3).Zeros(4).Text("1:2").Frame(0x20, 9),
            writer.Written.ToArray(), "LOOK");
    }

    [Fact]
    public void The_answer_to_LOOK_has_its_fields_at_their_places()
    {
        Expect.Equal(new MemoryAnswer(true, 3, 0x2000), LookFrame.ReadAnswer(new WireBytes().U8(1).Zeros(3).U32(3).U64(0x2000).ToArray()), "the answer");
        ExpectCut(WireFrames.Looked(1, 3)[12..], body => LookFrame.ReadAnswer(body), "the answer to LOOK");
        Assert.Throws<FrameException>(() => LookFrame.ReadAnswer(new WireBytes().U8(2).Zeros(3).U32(3).U64(0).ToArray()));
        Assert.Throws<FrameException>(() => LookFrame.ReadAnswer(new WireBytes().U8(1).Zeros(3).U32(4097).U64(0).ToArray()));
    }

    private static void ExpectCut(byte[] whole, Action<byte[]> read, string what)
    {
        read(whole);
        for (var length = 0; length < whole.Length; length++)
        {
            Expect.That(Record.Exception(() => read(whole[..length])) is FrameException { Reason: ByeReason.Malformed }, $"{what} of {length} bytes of {whole.Length} is malformed");
        }

        Expect.That(Record.Exception(() => read([.. whole, 0])) is FrameException { Reason: ByeReason.Malformed }, $"{what} and a byte is malformed");
    }
}
