namespace IommuFd.GrainInterfaces.Wire;

/// <summary>A read or a write of a file that an ioctl has opened, as the gateway gets it.</summary>
internal sealed record FileFrame(CallStart Start, FileRequest Request)
{
    public static FileFrame Read(ReadOnlySpan<byte> body, bool isWrite)
    {
        var reader = new FrameReader(body);
        var names = CallStart.ReadNames(ref reader);
        var count = reader.UInt64();
        var flags = reader.Choice(3);
        reader.Reserved(3);
        FileRequest request = isWrite ? new WriteFileRequest(count, reader.Bytes(reader.Length(IoctlLimits.MaxBufferBytes))) : new ReadFileRequest(count, reader.UInt32());
        reader.End();
        return new FileFrame(CallStart.Of(names, flags), request);
    }

    /// <param name="writer">Where the answer goes.</param>
    /// <param name="kind">The request's kind.</param>
    /// <param name="tag">The request's tag.</param>
    /// <param name="reply">The answer.</param>
    /// <param name="takesMark">Whether the queue is empty now, and its mark is to be taken.</param>
    /// <param name="text">Why it failed; null for no words.</param>
    public static void WriteAnswer(FrameWriter writer, FrameKind kind, uint tag, FileReply reply, bool takesMark, string? text)
    {
        var at = writer.Begin(kind | FrameKind.Answer, tag);
        var words = FrameWriter.Utf8(text, Hello.MaxBody);
        writer.UInt32((uint)reply.Errno);
        writer.UInt32((uint)reply.Count);
        writer.Byte((byte)(takesMark ? 1 : 0));
        writer.Reserved(3);
        writer.UInt32((uint)(reply.Data?.Length ?? 0));
        writer.UInt32((uint)words.Length);
        writer.Reserved(4);
        writer.Bytes(reply.Data);
        writer.Bytes(words);
        writer.Finish(at);
    }
}
