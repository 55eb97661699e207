using IommuFd.Uapi;

namespace IommuFd.GrainInterfaces.Wire;

/// <summary>A read, a write or a mapping of a device file, as the gateway gets it.</summary>
/// <param name="Ticket">The descriptor.</param>
/// <param name="Offset">The offset in the file.</param>
/// <param name="Length">How many bytes.</param>
/// <param name="Content">What is written; null for the others.</param>
internal sealed record DeviceFrame(Guid Ticket, ulong Offset, ulong Length, byte[]? Content)
{
    /// <summary>The most bytes of one read or write.</summary>
    public const int MaxBytes = 65_536;

    public static DeviceFrame Read(FrameKind kind, ReadOnlySpan<byte> body)
    {
        var reader = new FrameReader(body);
        var (ticket, offset) = (reader.Name(), reader.UInt64());
        if (kind == FrameKind.DeviceMap)
        {
            var length = reader.UInt64();
            reader.End();
            return new DeviceFrame(ticket, offset, length, null);
        }

        var count = reader.Length(MaxBytes);
        reader.Reserved(4);
        var content = kind == FrameKind.DeviceWrite ? reader.Bytes(count) : null;
        reader.End();
        return new DeviceFrame(ticket, offset, (ulong)count, content);
    }

    /// <summary>Answers a read or a write.</summary>
    public static void WriteAnswer(FrameWriter writer, FrameKind kind, uint tag, Errno errno, int count, ReadOnlySpan<byte> bytes)
    {
        var at = writer.Begin(kind | FrameKind.Answer, tag);
        writer.UInt32((uint)errno);
        writer.UInt32((uint)count);
        writer.Bytes(bytes);
        writer.Finish(at);
    }

    /// <summary>Answers what is to be mapped.</summary>
    public static void WriteMapping(FrameWriter writer, uint tag, Errno errno, string path, ulong offset)
    {
        var at = writer.Begin(FrameKind.DeviceMap | FrameKind.Answer, tag);
        var bytes = FrameWriter.Utf8(path, Hello.MaxBody);
        writer.UInt32((uint)errno);
        writer.UInt32((uint)bytes.Length);
        writer.UInt64(offset);
        writer.Bytes(bytes);
        writer.Finish(at);
    }
}
