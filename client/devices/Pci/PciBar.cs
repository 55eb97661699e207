using System.Buffers.Binary;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace IommuFd.Devices.Pci;

/// <summary>A part of a BAR.</summary>
/// <param name="Offset">Its first byte: a multiple of the page size.</param>
/// <param name="Length">Bytes: whole pages.</param>
public readonly record struct PciBarArea(int Offset, int Length);

/// <summary>A BAR: a window of memory to a function's registers.</summary>
public sealed class PciBar
{
    private readonly IBarMemory _memory;

    internal PciBar(int index, int length, bool is64Bit, IBarMemory memory, params PciBarArea[] mappable)
        => (Index, Length, Is64Bit, _memory, Mappable) = (index, length, is64Bit, memory, mappable);

    /// <summary>Its number, 0 to 5. One of 64 bits takes the next number too.</summary>
    public int Index { get; }

    /// <summary>Bytes: a power of two, at least a page.</summary>
    public int Length { get; }

    /// <summary>Whether it can be anywhere in 64 bits.</summary>
    public bool Is64Bit { get; }

    /// <summary>The parts that programs can map. What is there the device finds by looking, since nobody tells it of a store.</summary>
    public IReadOnlyList<PciBarArea> Mappable { get; }

    /// <summary>Its memory, for a host that maps it to programs.</summary>
    public IBarMemory Memory => _memory;

    /// <summary>Whether all of it can be mapped.</summary>
    public bool IsMappable => Mappable is [{ Offset: 0 } whole] && whole.Length == Length;

    /// <summary>The bytes.</summary>
    public Span<byte> Bytes => _memory.Bytes.Span;

    /// <summary>Reads a register that a program may change at the same time.</summary>
    /// <param name="offset">A multiple of 4.</param>
    /// <returns>The value.</returns>
    public uint Read32(int offset)
    {
        var value = Volatile.Read(ref Unsafe.As<byte, uint>(ref MemoryMarshal.GetReference(Bytes.Slice(offset, 4))));
        return BitConverter.IsLittleEndian ? value : BinaryPrimitives.ReverseEndianness(value);
    }

    /// <summary>Writes a register that a program may read at the same time.</summary>
    /// <param name="offset">A multiple of 4.</param>
    /// <param name="value">The value.</param>
    public void Write32(int offset, uint value)
        => Volatile.Write(ref Unsafe.As<byte, uint>(ref MemoryMarshal.GetReference(Bytes.Slice(offset, 4))), BitConverter.IsLittleEndian ? value : BinaryPrimitives.ReverseEndianness(value));

    /// <summary>Reads a register and leaves 0 there, in one step.</summary>
    /// <param name="offset">A multiple of 4.</param>
    /// <returns>The value that it had.</returns>
    public uint Take32(int offset)
    {
        var value = Interlocked.Exchange(ref Unsafe.As<byte, uint>(ref MemoryMarshal.GetReference(Bytes.Slice(offset, 4))), 0);
        return BitConverter.IsLittleEndian ? value : BinaryPrimitives.ReverseEndianness(value);
    }

    /// <summary>Reads a register of 64 bits, in halves.</summary>
    /// <param name="offset">A multiple of 8.</param>
    /// <returns>The value.</returns>
    public ulong Read64(int offset) => Read32(offset) | ((ulong)Read32(offset + 4) << 32);

    /// <summary>Writes a register of 64 bits, in halves.</summary>
    /// <param name="offset">A multiple of 8.</param>
    /// <param name="value">The value.</param>
    public void Write64(int offset, ulong value)
    {
        Write32(offset, (uint)value);
        Write32(offset + 4, (uint)(value >> 32));
    }
}
