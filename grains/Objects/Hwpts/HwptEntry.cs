using IommuFd.GrainInterfaces;
using IommuFd.Grains.Encoding;
using IommuFd.Grains.Model;
using IommuFd.Grains.Objects.FaultQueues;
using IommuFd.Grains.Objects.Ioas;
using IommuFd.Uapi;

namespace IommuFd.Grains.Objects.Hwpts;

/// <summary>A hardware page table in its context's table, of either kind (the kernel's <c>iommufd_hw_pagetable</c>).</summary>
/// <param name="id">Its id.</param>
/// <param name="kind">Its kind.</param>
/// <param name="serial">Its serial number.</param>
/// <param name="iommu">The IOMMU whose page table it is.</param>
/// <param name="flags">What it was made for.</param>
internal abstract class HwptEntry(ObjectId id, ObjectKind kind, long serial, string iommu, IommuHwptAllocFlags flags) : ObjectEntry(id, kind, serial)
{
    /// <summary>The IOMMU whose page table it is: an <see cref="Iommus.IommuDriver.InstanceOf"/>.</summary>
    public string Iommu { get; } = iommu;

    public IommuHwptAllocFlags Flags { get; } = flags;

    /// <summary>The paging HWPT that translates: itself, or the one that it nests on (<c>find_hwpt_paging</c>).</summary>
    public abstract HwptPagingEntry Paging { get; }

    /// <summary>Whether a guest has the page table, so that its devices' page faults of every PASID may be for it.</summary>
    public bool IsNested => Paging != this;

    /// <summary>The vIOMMU that it was made on; 0 for none.</summary>
    public virtual ObjectId ViommuId => default;

    /// <summary>The IOAS that <see cref="Paging"/> mirrors.</summary>
    public IoasEntry Ioas => Paging.Ioas;

    /// <summary>The queue that page faults of attached devices go to, which it holds; null for none.</summary>
    public FaultQueueEntry? FaultQueue { get; private set; }

    /// <summary>Holds the queue that page faults go to.</summary>
    public void ReportTo(FaultQueueEntry? queue)
    {
        if (queue is not null)
        {
            FaultQueue = queue;
            Hold.RefToUsers(this, queue, "reporting page faults");
        }
    }

    /// <summary>Finds the queue among what it holds, which must be that and one other object.</summary>
    /// <param name="base">What it holds otherwise.</param>
    protected void Relink(ObjectEntry @base)
    {
        FaultQueue = Held().Select(hold => hold.Target).OfType<FaultQueueEntry>().SingleOrDefault();
        SnapshotFormat.Require(
            HeldCount == (FaultQueue is null ? 1 : 2) && Held().Any(hold => hold.Target == @base) && (FaultQueue is not null) == Flags.HasFlag(IommuHwptAllocFlags.FaultIdValid),
            "A HWPT must hold what it is based on, its fault queue, and nothing else.");
    }
}
