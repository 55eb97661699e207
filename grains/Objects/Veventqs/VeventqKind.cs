using IommuFd.GrainInterfaces;
using IommuFd.Grains.Calls;
using IommuFd.Grains.Encoding;
using IommuFd.Grains.Model;
using IommuFd.Grains.Objects.EventQueues;
using IommuFd.Uapi;

namespace IommuFd.Grains.Objects.Veventqs;

/// <summary>Event queues of vIOMMUs.</summary>
internal sealed class VeventqKind : EventQueueKind
{
    public static readonly VeventqKind Instance = new();

    public override ObjectType Type => ObjectType.Veventq;

    public override IObjectGrain FindGrain(IGrainFactory factory, string key) => factory.GetGrain<IVeventqGrain>(key);

    public override ObjectBuild BuildOf(ObjectEntry entry) => new VeventqBuild(((VeventqEntry)entry).Depth);

    public override ObjectEntry Restore(ContextModel context, ObjectId id, long serial, EntrySnapshot? snapshot) => VeventqEntry.Restore(context, id, serial, snapshot);

    public override async ValueTask DestroyAsync(IoctlScope scope, ObjectEntry entry)
    {
        var queue = (VeventqEntry)entry;
        queue.Viommu.Veventqs.Remove(queue.EventType);
        await scope.Grains.DropAsync(queue.Viommu);
    }

    // A queue that was never called has its file still open: closing it is a call.
    public override ObjectState Describe(ObjectEntry entry) => Complete(entry, new VeventqState(default, default, 0, IsOpen: true, 0, 0));

    public override ObjectState Complete(ObjectEntry entry, ObjectState state)
    {
        var queue = (VeventqEntry)entry;
        return (VeventqState)state with { Viommu = queue.Viommu.Id, Type = queue.EventType, Depth = queue.Depth };
    }

    public override string Summarize(ObjectEntry entry, ObjectState state)
    {
        var queue = (VeventqState)state;
        return $"{Format.Count(queue.Waiting, "event")} of vIOMMU {queue.Viommu} to read{(queue.Lost == 0 ? "" : $", {Format.Count(queue.Lost)} lost")}{(queue.IsOpen ? "" : ", file closed")}";
    }

    public override ObjectFact[] FactsOf(ObjectEntry entry, ObjectState state)
    {
        var queue = (VeventqState)state;
        return
        [
            new("vIOMMU", $"vIOMMU {queue.Viommu}"),
            new("kind", $"0x{(uint)queue.Type:X}"),
            new("depth", Format.Count(queue.Depth, "event")),
            new("file", queue.IsOpen ? "open" : "closed"),
            new("events to read", Format.Count(queue.Waiting)),
            new("events lost", Format.Count(queue.Lost)),
        ];
    }

    protected override PollEvents AlwaysReady => PollEvents.None;
}
