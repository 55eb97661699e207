using System.Buffers.Binary;

namespace IommuFd.Devices.Nvme;

/// <summary>An entry of a submission queue.</summary>
internal readonly struct NvmeCommand
{
    public NvmeCommand(ReadOnlySpan<byte> entry)
    {
        (Opcode, Flags, Id) = (entry[0], entry[1], BinaryPrimitives.ReadUInt16LittleEndian(entry[2..]));
        Namespace = BinaryPrimitives.ReadUInt32LittleEndian(entry[4..]);
        (Prp1, Prp2) = (BinaryPrimitives.ReadUInt64LittleEndian(entry[24..]), BinaryPrimitives.ReadUInt64LittleEndian(entry[32..]));
        Dword10 = BinaryPrimitives.ReadUInt32LittleEndian(entry[40..]);
        Dword11 = BinaryPrimitives.ReadUInt32LittleEndian(entry[44..]);
        Dword12 = BinaryPrimitives.ReadUInt32LittleEndian(entry[48..]);
        Dword13 = BinaryPrimitives.ReadUInt32LittleEndian(entry[52..]);
    }

    public byte Opcode { get; }

    /// <summary>Fused operation in bits 0 and 1, the kind of data pointer in bits 6 and 7.</summary>
    public byte Flags { get; }

    public ushort Id { get; }

    public uint Namespace { get; }

    public ulong Prp1 { get; }

    public ulong Prp2 { get; }

    public uint Dword10 { get; }

    public uint Dword11 { get; }

    public uint Dword12 { get; }

    public uint Dword13 { get; }

    /// <summary>The first block of a read or write.</summary>
    public ulong StartBlock => Dword10 | ((ulong)Dword11 << 32);

    /// <summary>How many blocks.</summary>
    public ulong BlockCount => (Dword12 & 0xFFFF) + 1;

    /// <summary>Whether it is a command of its own whose data pointer is a PRP: others are not supported.</summary>
    public bool IsPlain => (Flags & 0xC3) == 0;
}
