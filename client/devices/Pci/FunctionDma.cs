using IommuFd.GrainInterfaces;

namespace IommuFd.Devices.Pci;

/// <summary>What a function's accesses to memory came to.</summary>
/// <param name="BytesRead">Bytes that it has read.</param>
/// <param name="BytesWritten">Bytes that it has written.</param>
/// <param name="Refused">Accesses that were not made.</param>
/// <param name="LastRefused">What became of the last of them.</param>
public readonly record struct DmaCounts(ulong BytesRead, ulong BytesWritten, ulong Refused, DmaResult LastRefused);

/// <summary>A function's accesses to memory: through its port, while it is bound and may be master of the bus. Used in its loop only.</summary>
public sealed class FunctionDma : IDmaPort
{
    private readonly ConfigSpace _config;

    internal FunctionDma(ConfigSpace config) => _config = config;

    /// <summary>The way to memory; null while the device is bound to no context.</summary>
    internal IDmaPort? Port { get; set; }

    /// <summary>What the accesses came to.</summary>
    public DmaCounts Counts { get; private set; }

    /// <inheritdoc/>
    public async ValueTask<DmaResult> ReadAsync(ReadOnlyMemory<DmaRange> ranges, Memory<byte> destination, uint pasid, CancellationToken cancellationToken)
    {
        var result = Refusal ?? await Port!.ReadAsync(ranges, destination, pasid, cancellationToken);
        Counts = result.IsDone ? Counts with { BytesRead = Counts.BytesRead + (ulong)destination.Length } : Refused(result);
        return result;
    }

    /// <inheritdoc/>
    public async ValueTask<DmaResult> WriteAsync(ReadOnlyMemory<DmaRange> ranges, ReadOnlyMemory<byte> source, uint pasid, CancellationToken cancellationToken)
    {
        var result = Refusal ?? await Port!.WriteAsync(ranges, source, pasid, cancellationToken);
        Counts = result.IsDone ? Counts with { BytesWritten = Counts.BytesWritten + (ulong)source.Length } : Refused(result);
        return result;
    }

    private DmaResult? Refusal
        => Port is null ? new DmaResult(DmaStatus.Unbound)
            : (_config.Get16(PciRegister.Command) & PciRegister.CommandMaster) == 0 ? new DmaResult(DmaStatus.Disabled)
            : null;

    private DmaCounts Refused(DmaResult result) => Counts with { Refused = Counts.Refused + 1, LastRefused = result };
}
