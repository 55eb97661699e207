using System.Buffers.Binary;
using System.IO.Hashing;

namespace IommuFd.Grains.Journaling;

// The bytes of a record or a snapshot in a store: a length, a checksum over what follows, and the content. The checksum covers the place too, so that
// a record that ended up at another's place, or in another context's journal, is damage as well.

/// <summary>Puts content into frames, and finds out whether a frame is whole.</summary>
internal static class JournalFrame
{
    private const int HeaderBytes = sizeof(int) + sizeof(ulong);

    /// <summary>Makes the frame of content.</summary>
    /// <param name="handle">The context, as the 16 bytes of its handle.</param>
    /// <param name="position">The place in its journal.</param>
    /// <param name="content">The content.</param>
    public static byte[] Encode(Guid handle, long position, ReadOnlySpan<byte> content)
    {
        var frame = new byte[HeaderBytes + content.Length];
        BinaryPrimitives.WriteInt32LittleEndian(frame, content.Length);
        BinaryPrimitives.WriteUInt64LittleEndian(frame.AsSpan(sizeof(int)), Checksum(handle, position, content));
        content.CopyTo(frame.AsSpan(HeaderBytes));
        return frame;
    }

    /// <summary>The content of a frame that is whole and in its place.</summary>
    /// <returns>False where it is not.</returns>
    public static bool TryDecode(Guid handle, long position, byte[] frame, out ReadOnlyMemory<byte> content)
    {
        content = default;
        if (frame.Length < HeaderBytes || BinaryPrimitives.ReadInt32LittleEndian(frame) != frame.Length - HeaderBytes)
        {
            return false;
        }

        content = frame.AsMemory(HeaderBytes);
        return BinaryPrimitives.ReadUInt64LittleEndian(frame.AsSpan(sizeof(int))) == Checksum(handle, position, content.Span);
    }

    private static ulong Checksum(Guid handle, long position, ReadOnlySpan<byte> content)
    {
        Span<byte> place = stackalloc byte[16 + sizeof(long)];
        handle.TryWriteBytes(place);
        BinaryPrimitives.WriteInt64LittleEndian(place[16..], position);
        return XxHash3.HashToUInt64(content, unchecked((long)XxHash3.HashToUInt64(place)));
    }
}
