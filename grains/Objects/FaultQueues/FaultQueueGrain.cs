using IommuFd.GrainInterfaces;
using IommuFd.Grains.Calls;
using IommuFd.Grains.Encoding;
using IommuFd.Grains.Model;
using IommuFd.Grains.Objects.EventQueues;
using IommuFd.Uapi;
using Orleans.Placement;

namespace IommuFd.Grains.Objects.FaultQueues;

/// <inheritdoc cref="IFaultQueueGrain"/>
[KeepAlive]
[PreferLocalPlacement]
internal sealed class FaultQueueGrain(ObjectHost? host) : EventQueueGrain<FaultQueueModel>(host), IFaultQueueGrain
{
    public ValueTask<ObjectReply> ReportAsync(ObjectStamp stamp, FaultGroup group)
    {
        if (Enter(stamp) is not { } model)
        {
            return Lost<ObjectReply>();
        }

        if (!model.TryReport(group))
        {
            return Reply(ObjectReply.Failed(Errno.ENOMEM, Failure.Because(DiagnosticReason.QueueFull, limit: IoctlLimits.MaxQueued)));
        }

        NoteArrival();
        return Reply(new ObjectReply(Errno.None, 0));
    }

    public ValueTask<ObjectReply> DiscardAsync(ObjectStamp stamp, ObjectId device, uint pasid)
        => Enter(stamp) is { } model ? Reply(new ObjectReply(Errno.None, (ulong)model.Discard(device, pasid))) : Lost<ObjectReply>();

    public ValueTask<ObjectReply> TakeResponseAsync(ObjectStamp stamp, ObjectId device, uint group)
    {
        if (Enter(stamp) is not { } model)
        {
            return Lost<ObjectReply>();
        }

        var errno = model.TakeResponse(device, group, out var code);
        return Reply(new ObjectReply(errno, (ulong)code, errno == Errno.None ? null : Failure.Because(DiagnosticReason.NoFaultResponse, group)));
    }

    protected override FaultQueueModel Build(ObjectStamp stamp) => new();

    protected override ObjectSnapshot Snapshot(FaultQueueModel model) => model.Save();

    protected override FaultQueueModel Restore(ObjectStamp stamp, ObjectSnapshot snapshot) => FaultQueueModel.Restore(SnapshotFormat.Expect<FaultQueueSnapshot>(snapshot));

    protected override ObjectState Inspect(FaultQueueModel model, StatePage page) => new FaultQueueState(model.IsOpen, model.Waiting, model.Unanswered);
}
