using IommuFd.GrainInterfaces;
using IommuFd.Grains.Encoding;
using IommuFd.Grains.Model;
using IommuFd.Grains.Objects.Accesses;
using IommuFd.Grains.Objects.Viommus;
using IommuFd.Uapi;

namespace IommuFd.Grains.Objects.HwQueues;

/// <summary>A hardware queue of a vIOMMU in its context's table.</summary>
/// <param name="id">Its id.</param>
/// <param name="serial">Its serial number.</param>
/// <param name="viommu">The vIOMMU, which it holds once it is built.</param>
/// <param name="type">Its kind.</param>
/// <param name="index">Its index.</param>
/// <param name="memory">The IOVAs of its memory in the nesting parent.</param>
internal sealed class HwQueueEntry(ObjectId id, long serial, ViommuEntry viommu, IommuHwQueueType type, uint index, IovaRange memory)
    : ObjectEntry(id, HwQueueKind.Instance, serial)
{
    public ViommuEntry Viommu { get; } = viommu;

    public IommuHwQueueType QueueType { get; } = type;

    public uint Index { get; } = index;

    public IovaRange Memory { get; } = memory;

    /// <summary>The access that pins the memory, which it holds as its driver; null only while it is built.</summary>
    public AccessEntry? Access { get; set; }

    public static HwQueueEntry Restore(ContextModel context, ObjectId id, long serial, EntrySnapshot? snapshot)
    {
        var saved = SnapshotFormat.Expect<HwQueueEntrySnapshot>(snapshot);
        var viommu = context.Objects.Find<ViommuEntry>(saved.Viommu) ?? throw SnapshotFormat.Of($"HW queue {id} belongs to {saved.Viommu}, which is no older vIOMMU.");
        SnapshotFormat.Require(saved.Memory.Start <= saved.Memory.Last, "A HW queue has no memory.");
        return new HwQueueEntry(id, serial, viommu, (IommuHwQueueType)saved.QueueType, saved.Index, saved.Memory);
    }

    public override EntrySnapshot Save() => new HwQueueEntrySnapshot { Viommu = Viommu.Id.Value, QueueType = (uint)QueueType, Index = Index, Memory = Memory };

    public override void Relink(EntrySnapshot? snapshot)
    {
        Access = Held().Select(hold => hold.Target).OfType<AccessEntry>().SingleOrDefault();
        SnapshotFormat.Require(
            Access is not null && Held().Any(hold => hold.Target == Viommu) && HeldCount == (Index == 0 ? 2 : 3)
                && Held().All(hold => hold.Target == Viommu || hold.Target == Access || hold.Target is HwQueueEntry previous && previous.Viommu == Viommu && previous.Index + 1 == Index),
            "A HW queue must hold its vIOMMU, its access and the queue before it.");
    }
}

/// <summary>A saved hardware queue of a context's table.</summary>
[GenerateSerializer, Immutable, OmitDefaultMemberValues, SuppressReferenceTracking, Alias("IommuFd.HwQueueEntrySnapshot")]
internal sealed record HwQueueEntrySnapshot : EntrySnapshot
{
    [Id(0)]
    public uint Viommu { get; init; }

    [Id(1)]
    public uint QueueType { get; init; }

    [Id(2)]
    public uint Index { get; init; }

    [Id(3)]
    public IovaRange Memory { get; init; }
}
