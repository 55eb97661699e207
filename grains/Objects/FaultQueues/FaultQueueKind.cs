using IommuFd.GrainInterfaces;
using IommuFd.Grains.Calls;
using IommuFd.Grains.Encoding;
using IommuFd.Grains.Model;
using IommuFd.Grains.Objects.EventQueues;
using IommuFd.Uapi;

namespace IommuFd.Grains.Objects.FaultQueues;

/// <summary>Fault queues.</summary>
internal sealed class FaultQueueKind : EventQueueKind
{
    public static readonly FaultQueueKind Instance = new();

    public override ObjectType Type => ObjectType.FaultQueue;

    public override IObjectGrain FindGrain(IGrainFactory factory, string key) => factory.GetGrain<IFaultQueueGrain>(key);

    public override ObjectEntry Restore(ContextModel context, ObjectId id, long serial, EntrySnapshot? snapshot) => new FaultQueueEntry(id, serial);

    // A queue that was never called has its file still open: closing it is a call.
    public override ObjectState Describe(ObjectEntry entry) => new FaultQueueState(IsOpen: true, 0, 0);

    public override string Summarize(ObjectEntry entry, ObjectState state)
    {
        var queue = (FaultQueueState)state;
        return $"{Format.Count(queue.Waiting, "group")} to read, {Format.Count(queue.Unanswered)} without a response{(queue.IsOpen ? "" : ", file closed")}";
    }

    public override ObjectFact[] FactsOf(ObjectEntry entry, ObjectState state)
    {
        var queue = (FaultQueueState)state;
        return
        [
            new("file", queue.IsOpen ? "open" : "closed"),
            new("groups to read", Format.Count(queue.Waiting)),
            new("groups without a response", Format.Count(queue.Unanswered)),
        ];
    }

    protected override PollEvents AlwaysReady => PollEvents.Out;
}
