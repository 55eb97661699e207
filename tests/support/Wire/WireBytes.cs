using System.Buffers.Binary;
using System.Runtime.InteropServices;
using System.Text;

namespace IommuFd.TestSupport;

/// <summary>Bytes put together field by field, as docs/protocol.md lists them. Nothing of what is tested has a part in it.</summary>
public sealed class WireBytes
{
    private readonly List<byte> _bytes = [];

    public WireBytes U8(params ReadOnlySpan<byte> values)
    {
        _bytes.AddRange(values);
        return this;
    }

    public WireBytes U16(params ReadOnlySpan<ushort> values)
    {
        foreach (var value in values)
        {
            BinaryPrimitives.WriteUInt16LittleEndian(Add(sizeof(ushort)), value);
        }

        return this;
    }

    public WireBytes U32(params ReadOnlySpan<uint> values)
    {
        foreach (var value in values)
        {
            BinaryPrimitives.WriteUInt32LittleEndian(Add(sizeof(uint)), value);
        }

        return this;
    }

    public WireBytes U64(params ReadOnlySpan<ulong> values)
    {
        foreach (var value in values)
        {
            BinaryPrimitives.WriteUInt64LittleEndian(Add(sizeof(ulong)), value);
        }

        return this;
    }

    public WireBytes Zeros(int count) => U8(new byte[count]);

    public WireBytes Text(string text) => U8(Encoding.UTF8.GetBytes(text));

    public byte[] ToArray() => [.. _bytes];

    /// <summary>The bytes as the body of a frame.</summary>
    public byte[] Frame(byte kind, uint tag) => [.. new WireBytes().U32((uint)_bytes.Count).U8(kind).Zeros(3).U32(tag).ToArray(), .. _bytes];

    private Span<byte> Add(int count)
    {
        _bytes.AddRange(new byte[count]);
        return CollectionsMarshal.AsSpan(_bytes)[^count..];
    }
}
