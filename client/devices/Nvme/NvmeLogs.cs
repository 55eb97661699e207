using System.Buffers.Binary;

namespace IommuFd.Devices.Nvme;

/// <summary>What the controller counts, and the pages that GET LOG PAGE reads (NVM Express 1.4, section 5.14). It outlives resets.</summary>
internal sealed class NvmeLogs
{
    public const int ErrorEntries = 4;

    /// <summary>The temperature, in kelvins.</summary>
    public const ushort Temperature = 300;

    private const int ErrorBytes = 64;
    private const int UnitBlocks = 1000;

    private readonly LinkedList<byte[]> _errors = [];
    private ulong _errorCount;
    private ulong _blocksRead;
    private ulong _blocksWritten;
    private ulong _reads;
    private ulong _writes;
    private ulong _mediaErrors;

    /// <summary>Whether the temperature is past a threshold.</summary>
    public bool IsTemperatureCritical { get; set; }

    public void CountRead(ulong blocks) => (_reads, _blocksRead) = (_reads + 1, _blocksRead + blocks);

    public void CountWrite(ulong blocks) => (_writes, _blocksWritten) = (_writes + 1, _blocksWritten + blocks);

    public void CountMediaError() => _mediaErrors++;

    /// <summary>Notes a command that has failed.</summary>
    public void NoteError(int queue, NvmeCommand command, NvmeStatus status)
    {
        var entry = new byte[ErrorBytes];
        BinaryPrimitives.WriteUInt64LittleEndian(entry, ++_errorCount);
        BinaryPrimitives.WriteUInt16LittleEndian(entry.AsSpan(8), (ushort)queue);
        BinaryPrimitives.WriteUInt16LittleEndian(entry.AsSpan(10), command.Id);
        BinaryPrimitives.WriteUInt16LittleEndian(entry.AsSpan(12), (ushort)((int)status << 1));
        BinaryPrimitives.WriteUInt16LittleEndian(entry.AsSpan(14), ushort.MaxValue);
        BinaryPrimitives.WriteUInt64LittleEndian(entry.AsSpan(16), queue == 0 ? 0 : command.StartBlock);
        BinaryPrimitives.WriteUInt32LittleEndian(entry.AsSpan(24), command.Namespace);
        _errors.AddFirst(entry);
        if (_errors.Count > ErrorEntries)
        {
            _errors.RemoveLast();
        }
    }

    /// <summary>A page; null where there is none of the kind.</summary>
    public byte[]? Page(uint kind) => kind switch
    {
        1 => Errors(),
        2 => Health(),
        3 => Firmware(),
        _ => null,
    };

    private byte[] Errors()
    {
        var page = new byte[ErrorEntries * ErrorBytes];
        var at = 0;
        foreach (var entry in _errors)
        {
            entry.CopyTo(page, at);
            at += ErrorBytes;
        }

        return page;
    }

    private byte[] Health()
    {
        var page = new byte[512];
        page[0] = (byte)(IsTemperatureCritical ? 1 << 1 : 0);
        BinaryPrimitives.WriteUInt16LittleEndian(page.AsSpan(1), Temperature);
        (page[3], page[4]) = (100, 10);
        (int Offset, ulong Value)[] counts =
        [
            (32, (_blocksRead + UnitBlocks - 1) / UnitBlocks), (48, (_blocksWritten + UnitBlocks - 1) / UnitBlocks), (64, _reads), (80, _writes), (112, 1), (160, _mediaErrors), (176, _errorCount),
        ];
        foreach (var (offset, value) in counts)
        {
            BinaryPrimitives.WriteUInt64LittleEndian(page.AsSpan(offset), value);
        }

        return page;
    }

    private static byte[] Firmware()
    {
        var page = new byte[512];
        page[0] = 1;
        "1.0     "u8.CopyTo(page.AsSpan(8));
        return page;
    }
}
