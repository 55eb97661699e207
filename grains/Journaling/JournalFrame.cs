using System.Buffers.Binary;
using System.IO.Hashing;

namespace IommuFd.Grains.Journaling;

// The bytes of a record or a snapshot in a store: a length, a checksum over what follows, and the content. The checksum also covers the
// place, so that a record at another's position, or in another context's journal, counts as damaged too.

/// <summary>Encodes content as frames, and checks frames when decoding.</summary>
internal static class JournalFrame
{
    private const int HeaderBytes = sizeof(int) + sizeof(ulong);

    /// <summary>Encodes content as a frame.</summary>
    /// <param name="key">The context, as the 16 bytes of its key.</param>
    /// <param name="position">The position in its journal.</param>
    /// <param name="content">The content.</param>
    public static byte[] Encode(Guid key, long position, ReadOnlySpan<byte> content)
    {
        var frame = new byte[HeaderBytes + content.Length];
        BinaryPrimitives.WriteInt32LittleEndian(frame, content.Length);
        BinaryPrimitives.WriteUInt64LittleEndian(frame.AsSpan(sizeof(int)), Checksum(key, position, content));
        content.CopyTo(frame.AsSpan(HeaderBytes));
        return frame;
    }

    /// <summary>Decodes a frame, if it is intact and in its place.</summary>
    /// <returns>False if it is not.</returns>
    public static bool TryDecode(Guid key, long position, byte[] frame, out ReadOnlyMemory<byte> content)
    {
        content = default;
        if (frame.Length < HeaderBytes || BinaryPrimitives.ReadInt32LittleEndian(frame) != frame.Length - HeaderBytes)
        {
            return false;
        }

        content = frame.AsMemory(HeaderBytes);
        return BinaryPrimitives.ReadUInt64LittleEndian(frame.AsSpan(sizeof(int))) == Checksum(key, position, content.Span);
    }

    private static ulong Checksum(Guid key, long position, ReadOnlySpan<byte> content)
    {
        Span<byte> place = stackalloc byte[16 + sizeof(long)];
        key.TryWriteBytes(place);
        BinaryPrimitives.WriteInt64LittleEndian(place[16..], position);
        return XxHash3.HashToUInt64(content, unchecked((long)XxHash3.HashToUInt64(place)));
    }
}
