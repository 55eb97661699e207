using System.Buffers.Binary;
using System.Text;

namespace IommuFd.GrainInterfaces.Wire;

/// <summary>Reads a frame's body field by field. The sender may be hostile: every length is checked against what is left.</summary>
internal ref struct FrameReader(ReadOnlySpan<byte> body)
{
    private ReadOnlySpan<byte> _left = body;

    public byte Byte() => Take(1)[0];

    public ushort UInt16() => BinaryPrimitives.ReadUInt16LittleEndian(Take(sizeof(ushort)));

    public uint UInt32() => BinaryPrimitives.ReadUInt32LittleEndian(Take(sizeof(uint)));

    public ulong UInt64() => BinaryPrimitives.ReadUInt64LittleEndian(Take(sizeof(ulong)));

    /// <summary>16 bytes: a ticket, a claim or a nonce.</summary>
    public Guid Name() => new(Take(16));

    /// <summary>Bytes that must be zero.</summary>
    public void Reserved(int count)
    {
        if (Take(count).ContainsAnyExcept((byte)0))
        {
            throw FrameException.Malformed("a reserved byte is not zero");
        }
    }

    /// <summary>A number that must be at most <paramref name="most"/>.</summary>
    public int Length(uint most) => Bounded(UInt32(), most);

    /// <summary>The same in two bytes.</summary>
    public int ShortLength(uint most) => Bounded(UInt16(), most);

    /// <summary>An enum's value in one byte.</summary>
    public byte Choice(byte most) => (byte)Bounded(Byte(), most);

    public byte[] Bytes(int count) => Take(count).ToArray();

    /// <summary>Bytes in place: valid as long as the body.</summary>
    public ReadOnlySpan<byte> Span(int count) => Take(count);

    /// <summary>How many bytes are left.</summary>
    public readonly int Left => _left.Length;

    /// <summary>All that is left.</summary>
    public byte[] Rest() => Bytes(_left.Length);

    public string Text(int bytes)
    {
        try
        {
            return Strict.GetString(Take(bytes));
        }
        catch (ArgumentException)
        {
            throw FrameException.Malformed("a text is not UTF-8");
        }
    }

    /// <summary>The body ends here.</summary>
    public readonly void End()
    {
        if (!_left.IsEmpty)
        {
            throw FrameException.Malformed($"{_left.Length} bytes follow the last field");
        }
    }

    private static readonly UTF8Encoding Strict = new(encoderShouldEmitUTF8Identifier: false, throwOnInvalidBytes: true);

    private static int Bounded(uint value, uint most)
        => value <= most ? (int)value : throw FrameException.Malformed($"a field is {value}, it may be {most} at most");

    private ReadOnlySpan<byte> Take(int count)
    {
        if (count > _left.Length)
        {
            throw FrameException.Malformed($"a field has {count} bytes, {_left.Length} are left");
        }

        var taken = _left[..count];
        _left = _left[count..];
        return taken;
    }
}
