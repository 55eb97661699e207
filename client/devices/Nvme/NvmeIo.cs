using System.Buffers;
using System.Buffers.Binary;
using IommuFd.GrainInterfaces;

namespace IommuFd.Devices.Nvme;

/// <summary>The commands of I/O queues (NVM Express 1.4, section 6).</summary>
internal sealed class NvmeIo(IDmaPort dma, INvmeNamespace store, NvmeLogs logs)
{
    /// <summary>The longest transfer.</summary>
    public const int MaxBytes = NvmeRegister.PageBytes << NvmeIdentify.MaxTransferLog2;

    private const int RangeBytes = 16;
    private const uint Deallocate = 1 << 2;

    /// <summary>Runs a command.</summary>
    /// <param name="command">The command.</param>
    /// <param name="hasWriteCache">Whether what is written may wait for a flush.</param>
    /// <param name="stop">Gives it up.</param>
    public async ValueTask<NvmeOutcome> RunAsync(NvmeCommand command, bool hasWriteCache, CancellationToken stop)
    {
        if (!command.IsPlain)
        {
            return NvmeStatus.InvalidField;
        }

        if (command.Opcode is not (0x00 or 0x01 or 0x02 or 0x08 or 0x09))
        {
            return NvmeStatus.InvalidOpcode;
        }

        if (command.Namespace != NvmeIdentify.NamespaceId && !(command.Opcode == 0 && command.Namespace == NvmeIdentify.AllNamespaces))
        {
            return NvmeStatus.InvalidNamespace;
        }

        try
        {
            var status = command.Opcode switch
            {
                0x00 => await FlushAsync(stop),
                0x01 => await WriteAsync(command, stop),
                0x02 => await ReadAsync(command, stop),
                0x08 => await ZeroAsync(command, stop),
                _ => await ManageAsync(command, stop),
            };
            return status == NvmeStatus.Success && !hasWriteCache && command.Opcode is 0x01 or 0x08 ? await FlushAsync(stop) : status;
        }
        catch (OperationCanceledException)
        {
            return NvmeStatus.AbortRequested;
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            logs.CountMediaError();
            return command.Opcode == 0x02 ? NvmeStatus.UnrecoveredRead : NvmeStatus.WriteFault;
        }
    }

    private async ValueTask<NvmeStatus> FlushAsync(CancellationToken stop)
    {
        await store.FlushAsync(stop);
        return NvmeStatus.Success;
    }

    private async ValueTask<NvmeStatus> ReadAsync(NvmeCommand command, CancellationToken stop)
    {
        var (status, ranges, length) = await PrepareAsync(command, stop);
        if (status != NvmeStatus.Success)
        {
            return status;
        }

        using var buffer = MemoryPool<byte>.Shared.Rent(length);
        var data = buffer.Memory[..length];
        await store.ReadAsync(command.StartBlock * INvmeNamespace.BlockBytes, data, stop);
        if (await dma.WriteAsync(ranges, data, 0, stop) is { IsDone: false } failed)
        {
            return NvmePrp.StatusOf(failed);
        }

        logs.CountRead(command.BlockCount);
        return NvmeStatus.Success;
    }

    private async ValueTask<NvmeStatus> WriteAsync(NvmeCommand command, CancellationToken stop)
    {
        var (status, ranges, length) = await PrepareAsync(command, stop);
        if (status != NvmeStatus.Success)
        {
            return status;
        }

        using var buffer = MemoryPool<byte>.Shared.Rent(length);
        var data = buffer.Memory[..length];
        if (await dma.ReadAsync(ranges, data, 0, stop) is { IsDone: false } failed)
        {
            return NvmePrp.StatusOf(failed);
        }

        await store.WriteAsync(command.StartBlock * INvmeNamespace.BlockBytes, data, stop);
        logs.CountWrite(command.BlockCount);
        return NvmeStatus.Success;
    }

    private async ValueTask<NvmeStatus> ZeroAsync(NvmeCommand command, CancellationToken stop)
    {
        if (!IsInRange(command.StartBlock, command.BlockCount))
        {
            return NvmeStatus.LbaOutOfRange;
        }

        await store.ZeroAsync(command.StartBlock * INvmeNamespace.BlockBytes, command.BlockCount * INvmeNamespace.BlockBytes, stop);
        return NvmeStatus.Success;
    }

    // DATASET MANAGEMENT: of what it may ask, only to deallocate does something.
    private async ValueTask<NvmeStatus> ManageAsync(NvmeCommand command, CancellationToken stop)
    {
        var list = new byte[((command.Dword10 & 0xFF) + 1) * RangeBytes];
        var (status, pages) = await NvmePrp.ResolveAsync(dma, command, list.Length, stop);
        if (status != NvmeStatus.Success)
        {
            return status;
        }

        if (await dma.ReadAsync(pages, list, 0, stop) is { IsDone: false } failed)
        {
            return NvmePrp.StatusOf(failed);
        }

        var ranges = list.Chunk(RangeBytes).Select(range => (Start: BinaryPrimitives.ReadUInt64LittleEndian(range.AsSpan(8)), Count: (ulong)BinaryPrimitives.ReadUInt32LittleEndian(range.AsSpan(4)))).ToList();
        if (!ranges.TrueForAll(range => IsInRange(range.Start, range.Count)))
        {
            return NvmeStatus.LbaOutOfRange;
        }

        foreach (var (start, count) in (command.Dword11 & Deallocate) != 0 ? ranges : [])
        {
            await store.ZeroAsync(start * INvmeNamespace.BlockBytes, count * INvmeNamespace.BlockBytes, stop);
        }

        return NvmeStatus.Success;
    }

    private async ValueTask<(NvmeStatus Status, DmaRange[] Ranges, int Length)> PrepareAsync(NvmeCommand command, CancellationToken stop)
    {
        var length = (int)(command.BlockCount * INvmeNamespace.BlockBytes);
        if (length > MaxBytes)
        {
            return (NvmeStatus.InvalidField, [], 0);
        }

        if (!IsInRange(command.StartBlock, command.BlockCount))
        {
            return (NvmeStatus.LbaOutOfRange, [], 0);
        }

        var (status, ranges) = await NvmePrp.ResolveAsync(dma, command, length, stop);
        return (status, ranges, length);
    }

    private bool IsInRange(ulong start, ulong count) => start <= store.Blocks && count <= store.Blocks - start;
}
