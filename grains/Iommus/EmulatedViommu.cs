using IommuFd.Uapi;

namespace IommuFd.Grains.Iommus;

/// <summary>What a driver has decided about a vIOMMU that is about to be made (<c>viommu_init</c>).</summary>
/// <param name="Config">What the vIOMMU is made of, in the driver's own format.</param>
/// <param name="MmapBytes">Bytes of its pages that a program can map; 0 for none.</param>
internal readonly record struct ViommuSetup(byte[] Config, ulong MmapBytes);

/// <summary>A device's cache that an invalidation is for.</summary>
/// <param name="VirtId">The device's id on the vIOMMU.</param>
/// <param name="Entries">Which entries, one bit each.</param>
internal readonly record struct CacheInvalidation(ulong VirtId, uint Entries);

/// <summary>The hardware behind a vIOMMU. It is stateless: what a vIOMMU has stands in its grain.</summary>
internal abstract class EmulatedViommu
{
    /// <summary>How many hardware queues of a kind it has; 0 for none (<c>get_hw_queue_size</c>).</summary>
    public virtual uint HwQueues(IommuHwQueueType type) => 0;

    /// <summary>The index that is free again when a hardware queue is destroyed.</summary>
    /// <param name="index">The queue's index.</param>
    public virtual uint FreedHwQueue(uint index) => index;

    /// <summary>The entries that it takes; null for none.</summary>
    public virtual InvalidationFormat? Format => null;

    /// <summary>Decodes entries that invalidate devices' caches, in order, up to the first that can't be carried out (<c>cache_invalidate</c>).</summary>
    /// <param name="entries">The entries.</param>
    /// <param name="isVdevice">Whether the vIOMMU has a device of an id.</param>
    /// <param name="invalidations">Gets what is to be invalidated.</param>
    /// <param name="done">How many entries are carried out, also on failure.</param>
    /// <returns>EOPNOTSUPP where the hardware has no such invalidation.</returns>
    public virtual Errno Invalidate(in InvalidationEntries entries, Func<ulong, bool> isVdevice, List<CacheInvalidation> invalidations, out uint done)
    {
        done = 0;
        return Errno.EOPNOTSUPP;
    }
}
