using System.Buffers.Binary;
using System.Text;

namespace IommuFd.Devices.Nvme;

/// <summary>The data structures that IDENTIFY answers (NVM Express 1.4, section 5.15).</summary>
internal sealed class NvmeIdentify(ushort vendor, ulong blocks, Guid id)
{
    /// <summary>The longest transfer: 2^7 pages, 512 KiB.</summary>
    public const int MaxTransferLog2 = 7;

    /// <summary>Abort commands, less 1, and events that are held, less 1.</summary>
    public const int LimitIndex = 3;

    /// <summary>The one namespace.</summary>
    public const uint NamespaceId = 1;

    /// <summary>Every namespace.</summary>
    public const uint AllNamespaces = uint.MaxValue;

    public const int Length = 4096;

    /// <summary>The structure that is asked for, or why there is none.</summary>
    public (NvmeStatus Status, byte[] Data) Of(uint structure, uint nsid) => structure switch
    {
        0x00 when nsid == NamespaceId => (NvmeStatus.Success, Namespace()),
        0x00 => (NvmeStatus.InvalidNamespace, []),
        0x01 => (NvmeStatus.Success, Controller()),
        0x02 when nsid < 0xFFFF_FFFE => (NvmeStatus.Success, ActiveList(nsid)),
        0x02 => (NvmeStatus.InvalidNamespace, []),
        0x03 when nsid == NamespaceId => (NvmeStatus.Success, Descriptors()),
        0x03 => (NvmeStatus.InvalidNamespace, []),
        _ => (NvmeStatus.InvalidField, []),
    };

    private byte[] Controller()
    {
        var data = new byte[Length];
        BinaryPrimitives.WriteUInt16LittleEndian(data, vendor);
        BinaryPrimitives.WriteUInt16LittleEndian(data.AsSpan(2), vendor);
        Text(data.AsSpan(4, 20), id.ToString("N")[..20]);
        Text(data.AsSpan(24, 40), "iommufd emulated NVMe");
        Text(data.AsSpan(64, 8), "1.0");
        data[72] = 6;
        data[77] = MaxTransferLog2;
        BinaryPrimitives.WriteUInt32LittleEndian(data.AsSpan(80), NvmeRegister.Version14);
        data[111] = 1;
        data[258] = LimitIndex;
        data[259] = LimitIndex;
        data[260] = 3;
        data[261] = 1 << 2;
        data[262] = NvmeLogs.ErrorEntries - 1;
        BinaryPrimitives.WriteUInt16LittleEndian(data.AsSpan(266), 343);
        BinaryPrimitives.WriteUInt16LittleEndian(data.AsSpan(268), 373);
        data[512] = 0x66;
        data[513] = 0x44;
        BinaryPrimitives.WriteUInt32LittleEndian(data.AsSpan(516), 1);
        BinaryPrimitives.WriteUInt16LittleEndian(data.AsSpan(520), (1 << 2) | (1 << 3));
        data[525] = 1;
        Encoding.ASCII.GetBytes($"nqn.2014-08.org.nvmexpress:uuid:{id:D}").CopyTo(data, 768);
        BinaryPrimitives.WriteUInt16LittleEndian(data.AsSpan(2048), 2500);
        return data;
    }

    private byte[] Namespace()
    {
        var data = new byte[Length];
        for (var field = 0; field < 24; field += sizeof(ulong))
        {
            BinaryPrimitives.WriteUInt64LittleEndian(data.AsSpan(field), blocks);
        }

        // What is deallocated reads as zeros.
        data[33] = 1 | (1 << 3);
        id.TryWriteBytes(data.AsSpan(104), bigEndian: true, out _);
        data[130] = 9;
        return data;
    }

    private static byte[] ActiveList(uint after)
    {
        var data = new byte[Length];
        BinaryPrimitives.WriteUInt32LittleEndian(data, after < NamespaceId ? NamespaceId : 0);
        return data;
    }

    private byte[] Descriptors()
    {
        var data = new byte[Length];
        Descriptor(data, 2, data.AsSpan(4));
        Descriptor(data.AsSpan(20), 3, data.AsSpan(24));
        return data;

        void Descriptor(Span<byte> header, byte kind, Span<byte> value)
        {
            (header[0], header[1]) = (kind, 16);
            id.TryWriteBytes(value, bigEndian: true, out _);
        }
    }

    private static void Text(Span<byte> field, string text)
    {
        field.Fill((byte)' ');
        Encoding.ASCII.GetBytes(text, field);
    }
}
