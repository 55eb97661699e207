using System.Buffers.Binary;

namespace IommuFd.Devices.Pci;

// Each byte has a mask of the bits that a write changes, and one of the bits that writing 1 clears. The device itself changes any bit.

/// <summary>A function's config space: 4 KiB, as PCI Express has it.</summary>
public sealed class ConfigSpace
{
    /// <summary>Its length in bytes.</summary>
    public const int Length = 4096;

    private const int FirstCapability = 0x40;
    private const int FirstExtended = 0x100;

    private readonly byte[] _bytes = new byte[Length];
    private readonly byte[] _writable = new byte[Length];
    private readonly byte[] _clearable = new byte[Length];
    private int _nextFree = FirstCapability;
    private int _lastCapability;

    /// <summary>Reads bytes as a program does.</summary>
    /// <param name="offset">The first byte.</param>
    /// <param name="destination">The buffer for them, which must end in the space.</param>
    public void Read(int offset, Span<byte> destination) => _bytes.AsSpan(offset, destination.Length).CopyTo(destination);

    /// <summary>Writes bytes as a program does: bits that are not writable stay as they are.</summary>
    /// <param name="offset">The first byte.</param>
    /// <param name="source">The bytes, which must end in the space.</param>
    public void Write(int offset, ReadOnlySpan<byte> source)
    {
        for (var i = 0; i < source.Length; i++)
        {
            var at = offset + i;
            var kept = _bytes[at] & ~_writable[at] & ~(source[i] & _clearable[at]);
            _bytes[at] = (byte)(kept | (source[i] & _writable[at]));
        }
    }

    /// <summary>A register of 8 bits.</summary>
    /// <param name="offset">Where it is.</param>
    /// <returns>Its value.</returns>
    public byte Get8(int offset) => _bytes[offset];

    /// <summary>A register of 16 bits.</summary>
    /// <param name="offset">Where it is.</param>
    /// <returns>Its value.</returns>
    public ushort Get16(int offset) => BinaryPrimitives.ReadUInt16LittleEndian(_bytes.AsSpan(offset));

    /// <summary>A register of 32 bits.</summary>
    /// <param name="offset">Where it is.</param>
    /// <returns>Its value.</returns>
    public uint Get32(int offset) => BinaryPrimitives.ReadUInt32LittleEndian(_bytes.AsSpan(offset));

    internal void Set8(int offset, byte value, byte writable = 0)
    {
        _bytes[offset] = value;
        _writable[offset] |= writable;
    }

    internal void Set16(int offset, ushort value, ushort writable = 0, ushort clearable = 0)
    {
        BinaryPrimitives.WriteUInt16LittleEndian(_bytes.AsSpan(offset), value);
        Or(_writable, offset, writable);
        Or(_clearable, offset, clearable);
    }

    internal void Set32(int offset, uint value, uint writable = 0)
    {
        Set16(offset, (ushort)value, (ushort)writable);
        Set16(offset + 2, (ushort)(value >> 16), (ushort)(writable >> 16));
    }

    /// <summary>Adds a capability to the end of the list.</summary>
    internal int AddCapability(PciCapability id, int length)
    {
        var offset = _nextFree;
        if (offset + length > FirstExtended)
        {
            throw new InvalidOperationException("The capabilities of a function end before its extended ones begin.");
        }

        _bytes[offset] = (byte)id;
        _bytes[_lastCapability == 0 ? PciRegister.CapabilityPointer : _lastCapability + 1] = (byte)offset;
        _lastCapability = offset;
        _nextFree = (offset + length + 3) & ~3;
        Set16(PciRegister.Status, (ushort)(Get16(PciRegister.Status) | PciRegister.StatusCapabilityList));
        return offset;
    }

    /// <summary>Where a capability is; 0 for none.</summary>
    internal int Find(PciCapability id)
    {
        for (int at = _bytes[PciRegister.CapabilityPointer]; at != 0; at = _bytes[at + 1])
        {
            if (_bytes[at] == (byte)id)
            {
                return at;
            }
        }

        return 0;
    }

    private static void Or(byte[] mask, int offset, ushort bits)
    {
        mask[offset] |= (byte)bits;
        mask[offset + 1] |= (byte)(bits >> 8);
    }
}
