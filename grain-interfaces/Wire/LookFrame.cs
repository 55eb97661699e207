namespace IommuFd.GrainInterfaces.Wire;

/// <summary>The gateway's question whether memory is there, and the program's answer.</summary>
internal static class LookFrame
{
    private const byte ToBeWritten = 1, IsFile = 2;

    public static void Write(FrameWriter writer, uint tag, MemoryPiece[] pieces)
    {
        var at = writer.Begin(FrameKind.Look, tag);
        writer.UInt32((uint)pieces.Length);
        writer.Reserved(4);
        foreach (var piece in pieces)
        {
            var identity = FrameWriter.Utf8(piece.File?.Identity, IoctlLimits.MaxIdentityLength);
            writer.UInt64(piece.Start);
            writer.UInt64(piece.Length);
            writer.Byte((byte)((piece.Write ? ToBeWritten : 0) | (piece.File is null ? 0 : IsFile)));
            writer.Reserved(1);
            writer.UInt16(identity.Length);
            writer.Reserved(4);
            writer.Bytes(identity);
        }

        writer.Finish(at);
    }

    public static MemoryAnswer ReadAnswer(ReadOnlySpan<byte> body)
    {
        var reader = new FrameReader(body);
        var isKnown = reader.Choice(1) == 1;
        reader.Reserved(3);
        var (present, offset) = (reader.Length(MemoryQuestion.MaxPieces), reader.UInt64());
        reader.End();
        return new MemoryAnswer(isKnown, present, offset);
    }
}
