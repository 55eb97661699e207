using IommuFd.GrainInterfaces;
using IommuFd.Uapi;

namespace IommuFd.Devices;

/// <summary>What became of an access of a device to memory.</summary>
public enum DmaStatus
{
    /// <summary>All bytes were copied.</summary>
    Done,

    /// <summary>The IOMMU has refused it: not attached, not mapped, or not permitted. Nothing of the range that failed was copied.</summary>
    Fault,

    /// <summary>The device may not access memory: bus mastering is off.</summary>
    Disabled,

    /// <summary>The device is bound to no context, or the context does not answer.</summary>
    Unbound,

    /// <summary>The device gave it up, because it was reset or the command was aborted.</summary>
    Aborted,
}

/// <summary>What became of an access of a device to memory.</summary>
/// <param name="Status">Whether the bytes were copied, or why not.</param>
/// <param name="Errno">Of a fault: EINVAL not attached, ENOENT not mapped, EPERM not permitted, EOVERFLOW past the last IOVA, EOPNOTSUPP a guest's page table, EFAULT the memory is gone.</param>
public readonly record struct DmaResult(DmaStatus Status, Errno Errno = Errno.None)
{
    /// <summary>Whether all bytes were copied.</summary>
    public bool IsDone => Status == DmaStatus.Done;
}

/// <summary>A device's only way to memory: by IOVAs.</summary>
public interface IDmaPort
{
    /// <summary>Reads memory.</summary>
    /// <param name="ranges">The IOVAs, as long together as the buffer.</param>
    /// <param name="destination">The buffer for the bytes, in the order of the ranges.</param>
    /// <param name="pasid">The PASID of the access; 0 for none.</param>
    /// <param name="cancellationToken">Gives the access up: bytes may be copied until then.</param>
    /// <returns>What became of it.</returns>
    ValueTask<DmaResult> ReadAsync(ReadOnlyMemory<DmaRange> ranges, Memory<byte> destination, uint pasid, CancellationToken cancellationToken);

    /// <summary>Writes memory.</summary>
    /// <param name="ranges">The IOVAs, as long together as the bytes.</param>
    /// <param name="source">The bytes, in the order of the ranges.</param>
    /// <param name="pasid">The PASID of the access; 0 for none.</param>
    /// <param name="cancellationToken">Gives the access up: bytes may be copied until then.</param>
    /// <returns>What became of it.</returns>
    ValueTask<DmaResult> WriteAsync(ReadOnlyMemory<DmaRange> ranges, ReadOnlyMemory<byte> source, uint pasid, CancellationToken cancellationToken);
}

/// <summary>Accesses of one range.</summary>
public static class DmaPorts
{
    /// <summary>Reads memory behind consecutive IOVAs.</summary>
    /// <param name="port">The device's port.</param>
    /// <param name="iova">The first IOVA.</param>
    /// <param name="destination">The buffer for the bytes.</param>
    /// <param name="pasid">The PASID of the access; 0 for none.</param>
    /// <param name="cancellationToken">Gives the access up.</param>
    /// <returns>What became of it.</returns>
    public static ValueTask<DmaResult> ReadAsync(this IDmaPort port, ulong iova, Memory<byte> destination, uint pasid = 0, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(port);
        return port.ReadAsync(new[] { new DmaRange(iova, (ulong)destination.Length) }, destination, pasid, cancellationToken);
    }

    /// <summary>Writes memory behind consecutive IOVAs.</summary>
    /// <param name="port">The device's port.</param>
    /// <param name="iova">The first IOVA.</param>
    /// <param name="source">The bytes.</param>
    /// <param name="pasid">The PASID of the access; 0 for none.</param>
    /// <param name="cancellationToken">Gives the access up.</param>
    /// <returns>What became of it.</returns>
    public static ValueTask<DmaResult> WriteAsync(this IDmaPort port, ulong iova, ReadOnlyMemory<byte> source, uint pasid = 0, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(port);
        return port.WriteAsync(new[] { new DmaRange(iova, (ulong)source.Length) }, source, pasid, cancellationToken);
    }
}
