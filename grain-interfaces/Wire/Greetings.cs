namespace IommuFd.GrainInterfaces.Wire;

/// <summary>HELLO: the first frame of every connection.</summary>
internal sealed record Hello(ushort Lowest, ushort Highest, ConnectionRole Role, ulong Program, string Name, string Token)
{
    public const uint Magic = 0x464D4F49;

    /// <summary>The version that this code speaks.</summary>
    public const ushort Version = 1;

    /// <summary>Bytes of a body before WELCOME.</summary>
    public const int MaxBody = 4096;

    private const int MaxToken = 1024;

    public static Hello Read(ReadOnlySpan<byte> body)
    {
        var reader = new FrameReader(body);
        if (reader.UInt32() != Magic)
        {
            throw FrameException.Malformed("this is no client of the gateway: the magic number is another");
        }

        var (lowest, highest) = (reader.UInt16(), reader.UInt16());
        var role = (ConnectionRole)reader.Choice((byte)ConnectionRole.Descriptor);
        reader.Reserved(7);
        var program = reader.UInt64();
        var (nameLength, tokenLength) = (reader.ShortLength(IoctlLimits.MaxNameLength), reader.ShortLength(MaxToken));
        reader.Reserved(4);
        var (name, token) = (reader.Text(nameLength), reader.Text(tokenLength));
        reader.End();
        return role == 0 || program == 0
            ? throw FrameException.Malformed("HELLO has no role or no program")
            : new Hello(lowest, highest, role, program, name, token);
    }
}

/// <summary>WELCOME: the gateway's answer to HELLO.</summary>
internal sealed record Welcome(uint MaxBody, uint MaxUnderWay, ulong Instance, byte[] Table)
{
    public void Write(FrameWriter writer, uint tag)
    {
        var at = writer.Begin(FrameKind.Hello | FrameKind.Answer, tag);
        writer.UInt16(Hello.Version);
        writer.Reserved(2);
        writer.UInt32(MaxBody);
        writer.UInt32(MaxUnderWay);
        writer.UInt32((uint)Table.Length);
        writer.UInt64(Instance);
        writer.Bytes(Table);
        writer.Finish(at);
    }
}

/// <summary>BYE: the last frame of a connection that the gateway ends.</summary>
internal static class Bye
{
    private const int MaxText = 512;

    public static void Write(FrameWriter writer, uint tag, ByeReason reason, string text)
    {
        var at = writer.Begin(FrameKind.Bye, tag);
        var bytes = FrameWriter.Utf8(text, MaxText);
        writer.UInt16((int)reason);
        writer.UInt16(bytes.Length);
        writer.Bytes(bytes);
        writer.Finish(at);
    }
}
