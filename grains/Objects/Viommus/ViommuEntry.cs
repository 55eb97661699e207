using IommuFd.GrainInterfaces;
using IommuFd.Grains.Encoding;
using IommuFd.Grains.Iommus;
using IommuFd.Grains.Model;
using IommuFd.Grains.Objects.EventQueues;
using IommuFd.Grains.Objects.Hwpts;
using IommuFd.Uapi;

namespace IommuFd.Grains.Objects.Viommus;

/// <summary>A vIOMMU in its context's table.</summary>
/// <param name="id">Its id.</param>
/// <param name="serial">Its serial number.</param>
/// <param name="hwpt">The nesting parent, which it holds once it is built.</param>
/// <param name="type">Its kind.</param>
/// <param name="iommu">The IOMMU behind it.</param>
/// <param name="mmap">Where a program can map its pages; null for nowhere.</param>
internal sealed class ViommuEntry(ObjectId id, long serial, HwptPagingEntry hwpt, IommuViommuType type, string iommu, IovaRange? mmap)
    : ObjectEntry(id, ViommuKind.Instance, serial)
{
    public HwptPagingEntry Hwpt { get; } = hwpt;

    public IommuViommuType ViommuType { get; } = type;

    /// <summary>The IOMMU behind it: an <see cref="IommuDriver.InstanceOf"/>.</summary>
    public string Iommu { get; } = iommu;

    /// <summary>Where a program can map its pages, in bytes from the start of the context's file.</summary>
    public IovaRange? Mmap { get; } = mmap;

    /// <summary>Its event queues, one of a kind.</summary>
    public Dictionary<IommuVeventqType, EventQueueEntry> Veventqs { get; } = [];

    public static ViommuEntry Restore(ContextModel context, ObjectId id, long serial, EntrySnapshot? snapshot)
    {
        var saved = SnapshotFormat.Expect<ViommuEntrySnapshot>(snapshot);
        var hwpt = context.Objects.Find<HwptPagingEntry>(saved.Hwpt) ?? throw SnapshotFormat.Of($"vIOMMU {id} nests on {saved.Hwpt}, which is no older HWPT.");
        SnapshotFormat.Require(IommuDriver.FindInstance(saved.Iommu) is not null, "A vIOMMU belongs to an unknown IOMMU.");
        SnapshotFormat.Require(
            saved.Mmap is not { } mmap || (mmap.Start <= mmap.Last && context.Shared<MmapOffsets>().TryTake(mmap)), "Two vIOMMUs can be mapped at one offset.");
        return new ViommuEntry(id, serial, hwpt, (IommuViommuType)saved.ViommuType, saved.Iommu, saved.Mmap);
    }

    public override EntrySnapshot Save() => new ViommuEntrySnapshot { Hwpt = Hwpt.Id.Value, ViommuType = (uint)ViommuType, Iommu = Iommu, Mmap = Mmap };

    public override void Relink(EntrySnapshot? snapshot)
        => SnapshotFormat.Require(FirstHeld is { NextHeld: null } hold && hold.Target == Hwpt, "A vIOMMU must hold its nesting parent and nothing else.");
}

/// <summary>A saved vIOMMU of a context's table.</summary>
[GenerateSerializer, Immutable, OmitDefaultMemberValues, SuppressReferenceTracking, Alias("IommuFd.ViommuEntrySnapshot")]
internal sealed record ViommuEntrySnapshot : EntrySnapshot
{
    [Id(0)]
    public uint Hwpt { get; init; }

    [Id(1)]
    public uint ViommuType { get; init; }

    [Id(2)]
    public required string Iommu { get; init; }

    [Id(3)]
    public IovaRange? Mmap { get; init; }
}
