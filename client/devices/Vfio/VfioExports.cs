using System.Collections.Concurrent;
using IommuFd.Client;
using IommuFd.Devices.Pci;
using IommuFd.GrainInterfaces;
using IommuFd.Uapi;

namespace IommuFd.Devices.Vfio;

// A dma-buf is a part of a BAR while the BAR answers: it is revoked when memory decode goes off and when the device is reset (vfio_pci_dma_buf_move), and for good when the
// device's file is closed (vfio_pci_dma_buf_cleanup).

/// <summary>The dma-bufs that a device has exported.</summary>
internal sealed class VfioExports(VfioMachine machine, PciFunction function, VfioLowPower power)
{
    private readonly SerialQueue _turns = new();
    private readonly Lock _lock = new();
    private readonly List<VfioExport> _exports = [];
    private long _resets;

    /// <summary>Exports a part of a BAR. In the function's loop.</summary>
    /// <param name="name">The device.</param>
    /// <param name="bar">The BAR.</param>
    /// <param name="ranges">The parts, of whole pages.</param>
    public DmaBuf Add(string name, PciBar bar, ReadOnlySpan<VfioRegionDmaRange> ranges)
    {
        var length = 0UL;
        foreach (var range in ranges)
        {
            length += range.Length;
        }

        var export = new VfioExport(new DmaBuf($"BAR {bar.Index} of {name}", length, isScattered: ranges.Length > 1, isRevoked: !function.IsMemoryEnabled), bar, ranges[0].Offset);
        lock (_lock)
        {
            _exports.RemoveAll(other => other.Buffer is { IsClosed: true, IsUnused: true } && machine.TryForget(other));
            _resets = _exports.Count == 0 ? function.Resets : _resets;
            _exports.Add(export);
        }

        machine.Note(export);
        return export.Buffer;
    }

    /// <summary>Revokes them, or restores them, after the device was reset, its memory decode was set, or it was let to sleep.</summary>
    public Task UpdateAsync() => IsEmpty ? Task.CompletedTask : _turns.RunAsync(async () =>
    {
        var (resets, isEnabled) = await function.Loop.RunAsync(() => (function.Resets, function.IsMemoryEnabled && !power.IsEngaged));
        foreach (var export in Exports)
        {
            if (resets != _resets || !isEnabled)
            {
                await export.Buffer.RevokeAsync();
            }

            if (isEnabled)
            {
                export.Buffer.Restore();
            }
        }

        _resets = resets;
        return true;
    });

    /// <summary>Revokes them for good.</summary>
    public Task EndAsync() => IsEmpty ? Task.CompletedTask : _turns.RunAsync(async () =>
    {
        foreach (var export in Exports)
        {
            await export.Buffer.RevokeAsync();
            machine.TryForget(export);
        }

        lock (_lock)
        {
            _exports.Clear();
        }

        return true;
    });

    private bool IsEmpty => Exports.Length == 0;

    private VfioExport[] Exports
    {
        get
        {
            lock (_lock)
            {
                return [.. _exports];
            }
        }
    }
}

/// <summary>A dma-buf, and the BAR that it is a part of.</summary>
/// <param name="Buffer">The dma-buf.</param>
/// <param name="Bar">The BAR.</param>
/// <param name="Offset">Where it begins in the BAR.</param>
internal sealed record VfioExport(DmaBuf Buffer, PciBar Bar, ulong Offset)
{
    /// <summary>The memory of a part of it; empty where that is revoked, or can't be mapped by programs either, since stores there are the device's to see.</summary>
    public Span<byte> Find(ulong offset, int length)
    {
        var start = Offset + offset;
        return !Buffer.IsRevoked && Bar.Mappable.Any(area => start >= (ulong)area.Offset && start + (ulong)length <= (ulong)(area.Offset + area.Length))
            ? Bar.Bytes.Slice((int)start, length) : default;
    }
}

/// <summary>The memory that a device reaches: that of programs, and what devices of its machine have exported.</summary>
internal sealed class VfioDmaMemory(ConcurrentDictionary<string, VfioExport> exports, IDmaMemory programs) : IDmaMemory
{
    public bool TryRead(UserMemoryPiece piece, ulong offset, Span<byte> destination)
        => Find(piece) is not { } export ? programs.TryRead(piece, offset, destination) : TryCopy(export.Find(piece.Address + offset, destination.Length), destination);

    public bool TryWrite(UserMemoryPiece piece, ulong offset, ReadOnlySpan<byte> source)
        => Find(piece) is not { } export ? programs.TryWrite(piece, offset, source) : TryCopy(source, export.Find(piece.Address + offset, source.Length));

    // No part of it is found where not all of it is.
    private static bool TryCopy(ReadOnlySpan<byte> source, Span<byte> destination)
    {
        var isWhole = source.Length == destination.Length;
        if (isWhole)
        {
            source.CopyTo(destination);
        }

        return isWhole;
    }

    private VfioExport? Find(UserMemoryPiece piece) => piece.File is { } file ? exports.GetValueOrDefault(file.Identity) : null;
}
