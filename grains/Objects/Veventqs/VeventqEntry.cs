using IommuFd.GrainInterfaces;
using IommuFd.Grains.Encoding;
using IommuFd.Grains.Model;
using IommuFd.Grains.Objects.EventQueues;
using IommuFd.Grains.Objects.Viommus;
using IommuFd.Uapi;

namespace IommuFd.Grains.Objects.Veventqs;

/// <summary>A vIOMMU's event queue in its context's table.</summary>
/// <param name="id">Its id.</param>
/// <param name="serial">Its serial number.</param>
/// <param name="viommu">The vIOMMU, which it holds once it is built.</param>
/// <param name="type">The kind of its events; the vIOMMU has no other queue of the kind.</param>
/// <param name="depth">Events that it holds at most.</param>
internal sealed class VeventqEntry(ObjectId id, long serial, ViommuEntry viommu, IommuVeventqType type, uint depth) : EventQueueEntry(id, VeventqKind.Instance, serial)
{
    public ViommuEntry Viommu { get; } = viommu;

    public IommuVeventqType EventType { get; } = type;

    public uint Depth { get; } = depth;

    public static VeventqEntry Restore(ContextModel context, ObjectId id, long serial, EntrySnapshot? snapshot)
    {
        var saved = SnapshotFormat.Expect<VeventqEntrySnapshot>(snapshot);
        var viommu = context.Objects.Find<ViommuEntry>(saved.Viommu) ?? throw SnapshotFormat.Of($"vEVENTQ {id} belongs to {saved.Viommu}, which is no older vIOMMU.");
        var queue = new VeventqEntry(id, serial, viommu, (IommuVeventqType)saved.EventType, saved.Depth);
        SnapshotFormat.Require(saved.Depth > 0 && viommu.Veventqs.TryAdd(queue.EventType, queue), "A vIOMMU has two event queues of one kind, or one without room.");
        return queue;
    }

    public override EntrySnapshot Save() => new VeventqEntrySnapshot(Viommu.Id.Value, (uint)EventType, Depth);

    public override void Relink(EntrySnapshot? snapshot)
        => SnapshotFormat.Require(FirstHeld is { NextHeld: null } hold && hold.Target == Viommu, "An event queue must hold its vIOMMU and nothing else.");
}

/// <summary>A saved event queue of a context's table.</summary>
[GenerateSerializer, Immutable, OmitDefaultMemberValues, SuppressReferenceTracking, Alias("IommuFd.VeventqEntrySnapshot")]
internal sealed record VeventqEntrySnapshot([property: Id(0)] uint Viommu, [property: Id(1)] uint EventType, [property: Id(2)] uint Depth) : EntrySnapshot;
