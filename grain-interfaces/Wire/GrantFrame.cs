using IommuFd.Uapi;

namespace IommuFd.GrainInterfaces.Wire;

/// <summary>GRANT: asks for a handle by which another identity knows a context.</summary>
internal static class GrantFrame
{
    /// <summary>Bytes of an identity.</summary>
    public const int MaxIdentity = 512;

    public static void Write(FrameWriter writer, uint tag, ContextHandle handle, string identity)
    {
        var at = writer.Begin(FrameKind.Grant, tag);
        var bytes = FrameWriter.Utf8(identity, MaxIdentity);
        writer.Name(handle.Value);
        writer.UInt16(bytes.Length);
        writer.Reserved(6);
        writer.Bytes(bytes);
        writer.Finish(at);
    }

    public static (Guid Handle, string Identity) Read(ReadOnlySpan<byte> body)
    {
        var reader = new FrameReader(body);
        var handle = reader.Name();
        var length = reader.ShortLength(MaxIdentity);
        reader.Reserved(6);
        var identity = reader.Text(length);
        reader.End();
        return (handle, identity);
    }

    public static void WriteAnswer(FrameWriter writer, uint tag, GrantReply reply)
    {
        var at = CallAnswer.Begin(writer, FrameKind.Grant, tag, CallStatus.Answered);
        writer.UInt32((uint)reply.Errno);
        writer.Reserved(4);
        writer.Name(reply.Handle.Value);
        writer.Finish(at);
    }

    public static GrantReply ReadAnswer(ref FrameReader reader)
    {
        var errno = (Errno)reader.UInt32();
        reader.Reserved(4);
        return new GrantReply(errno, new ContextHandle(reader.Name()));
    }
}

/// <summary>The answer to GRANT.</summary>
/// <param name="Errno">0; EBADF where the handle names no open context, EINVAL for a text that is no identity.</param>
/// <param name="Handle">The handle for the other identity.</param>
internal readonly record struct GrantReply(Errno Errno, ContextHandle Handle);
