namespace IommuFd.GrainInterfaces.Wire;

/// <summary>HELLO: the first frame of every connection.</summary>
/// <param name="Lowest">The lowest version that the client speaks.</param>
/// <param name="Highest">The highest.</param>
/// <param name="Role">What the connection is for.</param>
/// <param name="Program">A random number of the program's address space.</param>
/// <param name="Name">The program's name, for people.</param>
/// <param name="Token">Who the client is, where a gateway asks for it.</param>
/// <param name="Process">The process that has the program's memory; 0 for the one that connects.</param>
internal sealed record Hello(ushort Lowest, ushort Highest, ConnectionRole Role, ulong Program, string Name, string Token, int Process = 0)
{
    public const uint Magic = 0x464D4F49;

    /// <summary>The version that this code speaks.</summary>
    public const ushort Version = 1;

    /// <summary>Bytes of a body before WELCOME.</summary>
    public const int MaxBody = 4096;

    /// <summary>Bytes of a token.</summary>
    public const int MaxToken = 1024;

    /// <summary>Writes a greeting.</summary>
    public static void Write(FrameWriter writer, ConnectionRole role, ulong program, string name, string? token = null)
    {
        var at = writer.Begin(FrameKind.Hello, 0);
        var (bytes, secret) = (FrameWriter.Utf8(name, IoctlLimits.MaxNameLength), FrameWriter.Utf8(token, MaxToken));
        writer.UInt32(Magic);
        writer.UInt16(Version);
        writer.UInt16(Version);
        writer.Byte((byte)role);
        writer.Reserved(7);
        writer.UInt64(program);
        writer.UInt16(bytes.Length);
        writer.UInt16(secret.Length);
        writer.Reserved(4);
        writer.Bytes(bytes);
        writer.Bytes(secret);
        writer.Finish(at);
    }

    public static Hello Read(ReadOnlySpan<byte> body)
    {
        var reader = new FrameReader(body);
        if (reader.UInt32() != Magic)
        {
            throw FrameException.Malformed("this is no client of the gateway: the magic number is another");
        }

        var (lowest, highest) = (reader.UInt16(), reader.UInt16());
        var role = (ConnectionRole)reader.Choice((byte)ConnectionRole.Descriptor);
        reader.Reserved(3);
        var process = reader.Length(int.MaxValue);
        var program = reader.UInt64();
        var (nameLength, tokenLength) = (reader.ShortLength(IoctlLimits.MaxNameLength), reader.ShortLength(MaxToken));
        reader.Reserved(4);
        var (name, token) = (reader.Text(nameLength), reader.Text(tokenLength));
        reader.End();
        return role == 0 || program == 0
            ? throw FrameException.Malformed("HELLO has no role or no program")
            : new Hello(lowest, highest, role, program, name, token, process);
    }

    /// <summary>Both sides speak a version.</summary>
    /// <exception cref="FrameException">They do not.</exception>
    public void Check()
    {
        if (Lowest > Version || Highest < Version)
        {
            throw new FrameException(ByeReason.NoCommonVersion, $"the gateway speaks version {Version}, the client {Lowest} to {Highest}");
        }
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

    /// <summary>Reads the answer to HELLO.</summary>
    /// <returns>The most bytes of a body.</returns>
    /// <exception cref="FrameException">The gateway refuses, or is none.</exception>
    public static int Read(FrameKind kind, ReadOnlySpan<byte> body)
    {
        if (kind != (FrameKind.Hello | FrameKind.Answer))
        {
            throw kind == FrameKind.Bye ? Bye.Read(body) : FrameException.Malformed("the answer to HELLO is another frame");
        }

        var reader = new FrameReader(body);
        reader.UInt32();
        return reader.Length(int.MaxValue);
    }
}

/// <summary>BYE: the last frame of a connection that the gateway ends.</summary>
internal static class Bye
{
    private const int MaxText = 512;

    /// <summary>Why the gateway ends a connection.</summary>
    public static FrameException Read(ReadOnlySpan<byte> body)
    {
        var reader = new FrameReader(body);
        var reason = (ByeReason)reader.UInt16();
        return new FrameException(reason, reader.Text(reader.UInt16()));
    }

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
