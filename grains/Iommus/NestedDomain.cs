using IommuFd.Grains.Encoding;
using IommuFd.Uapi;

namespace IommuFd.Grains.Iommus;

/// <summary>A guest's page table, as the hardware knows it (<c>IOMMU_DOMAIN_NESTED</c>): the caches of what it leads to.</summary>
internal abstract class NestedDomain
{
    /// <summary>The entries of its cache, for those that show them.</summary>
    public virtual ReadOnlySpan<uint> Iotlb => [];

    /// <summary>The entries that it takes; null for none.</summary>
    public virtual InvalidationFormat? Format => null;

    /// <summary>Invalidates what entries say, in order, up to the first that it can't (<c>cache_invalidate_user</c>).</summary>
    /// <param name="entries">The entries.</param>
    /// <param name="done">How many were carried out, also on failure.</param>
    /// <returns>EOPNOTSUPP where the hardware has no such invalidation.</returns>
    public virtual Errno Invalidate(in InvalidationEntries entries, out uint done)
    {
        done = 0;
        return Errno.EOPNOTSUPP;
    }

    /// <summary>Saves the state; null for the first one.</summary>
    public virtual HardwareSnapshot? Save() => null;

    /// <summary>Loads the saved state into a new one.</summary>
    public virtual void Load(HardwareSnapshot snapshot) => throw SnapshotFormat.Of("A nested domain without state has a saved state.");
}
