using IommuFd.Grains.Calls;
using IommuFd.Grains.Iommus;
using IommuFd.Grains.Model;

namespace IommuFd.Grains.Objects.NestedHwpts;

/// <summary>A nested HWPT: what the hardware caches of a guest's page table. Which devices are attached to it stands in its context's table.</summary>
[Alias("IommuFd.INestedHwptGrain")]
internal interface INestedHwptGrain : IObjectGrain
{
    /// <summary><c>IOMMU_HWPT_INVALIDATE</c> of a nested HWPT.</summary>
    /// <param name="stamp">The life that is meant.</param>
    /// <param name="entries">What is to be invalidated.</param>
    /// <returns>The errno of the first entry that can't be carried out; the value is the number of those before it.</returns>
    [Alias("Invalidate")]
    ValueTask<ObjectReply> InvalidateAsync(ObjectStamp stamp, InvalidationEntries entries);

    /// <summary><c>IOMMU_TEST_OP_MD_CHECK_IOTLB</c>: whether an entry of the cache is what it should be.</summary>
    /// <param name="stamp">The life that is meant.</param>
    /// <param name="entry">The entry.</param>
    /// <param name="expected">What it should have.</param>
    /// <returns>EINVAL where it has something else, or there is no such entry; the value is what it has.</returns>
    [Alias("CheckIotlb")]
    ValueTask<ObjectReply> CheckIotlbAsync(ObjectStamp stamp, uint entry, uint expected);
}

/// <summary>What a nested HWPT is built of.</summary>
/// <param name="Iommu">The IOMMU whose page table it is.</param>
/// <param name="Config">What its driver has found good.</param>
[GenerateSerializer, Immutable, Alias("IommuFd.NestedHwptBuild")]
internal sealed record NestedHwptBuild([property: Id(0)] string Iommu, [property: Id(1)] byte[] Config) : ObjectBuild;
