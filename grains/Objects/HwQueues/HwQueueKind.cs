using IommuFd.GrainInterfaces;
using IommuFd.Grains.Calls;
using IommuFd.Grains.Encoding;
using IommuFd.Grains.Model;
using IommuFd.Grains.Objects.Accesses;

namespace IommuFd.Grains.Objects.HwQueues;

/// <summary>Hardware queues. A queue is a part of its vIOMMU's grain, which knows the order of the queues; its memory is pinned in the IOAS's grain.</summary>
internal sealed class HwQueueKind : GrainKind
{
    public static readonly HwQueueKind Instance = new();

    public override ObjectType Type => ObjectType.HwQueue;

    public override DrawingStyle Style => DrawingStyle.Queue;

    public override ObjectEntry AggregateOf(ObjectEntry entry) => ((HwQueueEntry)entry).Viommu;

    public override ObjectEntry Restore(ContextModel context, ObjectId id, long serial, EntrySnapshot? snapshot) => HwQueueEntry.Restore(context, id, serial, snapshot);

    /// <summary>Its memory is unpinned.</summary>
    public override async ValueTask DestroyAsync(IoctlScope scope, ObjectEntry entry)
    {
        var queue = (HwQueueEntry)entry;
        await AccessHandlers.DestroyAsync(scope, queue.Access!);
        queue.Access = null;
    }

    public override ObjectState Describe(ObjectEntry entry)
    {
        var queue = (HwQueueEntry)entry;
        return new HwQueueState(queue.Viommu.Id, queue.Index, queue.Memory, queue.Access?.Id ?? default);
    }

    public override string Summarize(ObjectEntry entry, ObjectState state)
    {
        var queue = (HwQueueState)state;
        return $"queue {queue.Index} of vIOMMU {queue.Viommu}, {Format.Bytes(queue.Memory.LengthBytes)} at {queue.Memory.Start:X}";
    }

    public override ObjectFact[] FactsOf(ObjectEntry entry, ObjectState state)
    {
        var queue = (HwQueueState)state;
        return
        [
            new("vIOMMU", $"vIOMMU {queue.Viommu}"),
            new("index", $"{queue.Index}"),
            new("memory", $"{queue.Memory}"),
            new("pinned by", $"access {queue.Access}"),
        ];
    }
}
