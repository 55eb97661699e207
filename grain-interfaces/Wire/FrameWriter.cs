using System.Buffers.Binary;
using System.Text;

namespace IommuFd.GrainInterfaces.Wire;

/// <summary>Writes a frame into a buffer that grows. The header's length is set by <see cref="Finish"/>.</summary>
internal sealed class FrameWriter
{
    /// <summary>Bytes of a frame's header.</summary>
    public const int HeaderBytes = 12;

    // What one frame has let the buffer grow to is not kept for ever.
    private const int KeptBytes = 64 * 1024;

    private byte[] _bytes = new byte[512];
    private int _length;

    /// <summary>The frames that were written since the last <see cref="Clear"/>.</summary>
    public ReadOnlyMemory<byte> Written => _bytes.AsMemory(0, _length);

    public void Clear()
    {
        _length = 0;
        if (_bytes.Length > KeptBytes)
        {
            _bytes = new byte[KeptBytes];
        }
    }

    /// <summary>Begins a frame. Returns where, for <see cref="Finish"/>.</summary>
    public int Begin(FrameKind kind, uint tag)
    {
        var at = _length;
        var header = Grow(HeaderBytes);
        header.Clear();
        header[4] = (byte)kind;
        BinaryPrimitives.WriteUInt32LittleEndian(header[8..], tag);
        return at;
    }

    /// <summary>Ends the frame that began at <paramref name="at"/>.</summary>
    public void Finish(int at) => BinaryPrimitives.WriteInt32LittleEndian(_bytes.AsSpan(at), _length - at - HeaderBytes);

    public void Byte(byte value) => Grow(1)[0] = value;

    public void UInt16(int value) => BinaryPrimitives.WriteUInt16LittleEndian(Grow(sizeof(ushort)), checked((ushort)value));

    public void UInt32(uint value) => BinaryPrimitives.WriteUInt32LittleEndian(Grow(sizeof(uint)), value);

    public void UInt64(ulong value) => BinaryPrimitives.WriteUInt64LittleEndian(Grow(sizeof(ulong)), value);

    public void Name(Guid value) => value.TryWriteBytes(Grow(16));

    public void Reserved(int count) => Grow(count).Clear();

    public void Bytes(ReadOnlySpan<byte> value) => value.CopyTo(Grow(value.Length));

    private Span<byte> Grow(int count)
    {
        if (_length + count > _bytes.Length)
        {
            Array.Resize(ref _bytes, Math.Max(checked(_length + count), (int)Math.Min(2L * _bytes.Length, Array.MaxLength)));
        }

        var grown = _bytes.AsSpan(_length, count);
        _length += count;
        return grown;
    }

    /// <summary>The bytes of a text, cut to what fits.</summary>
    public static byte[] Utf8(string? text, int most)
    {
        if (string.IsNullOrEmpty(text))
        {
            return [];
        }

        var bytes = new byte[Math.Min(Encoding.UTF8.GetMaxByteCount(text.Length), most)];
        Encoding.UTF8.GetEncoder().Convert(text, bytes, flush: true, out _, out var used, out _);
        return bytes[..used];
    }
}
