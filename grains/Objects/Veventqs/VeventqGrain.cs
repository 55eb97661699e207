using IommuFd.GrainInterfaces;
using IommuFd.Grains.Calls;
using IommuFd.Grains.Encoding;
using IommuFd.Grains.Model;
using IommuFd.Grains.Objects.EventQueues;
using IommuFd.Uapi;
using Orleans.Placement;

namespace IommuFd.Grains.Objects.Veventqs;

/// <inheritdoc cref="IVeventqGrain"/>
[KeepAlive]
[PreferLocalPlacement]
internal sealed class VeventqGrain(ObjectHost? host) : EventQueueGrain<VeventqModel>(host), IVeventqGrain
{
    public ValueTask<ObjectReply> ReportAsync(ObjectStamp stamp, byte[] data)
    {
        if (Enter(stamp) is not { } model)
        {
            return Lost<ObjectReply>();
        }

        var errno = model.Report(data);
        NoteArrival();
        return Reply(errno == Errno.None
            ? new ObjectReply(errno, 0)
            : ObjectReply.Failed(errno, Failure.Because(DiagnosticReason.QueueFull, limit: IoctlLimits.MaxQueued)));
    }

    protected override VeventqModel? Build(ObjectStamp stamp) => stamp.Build is VeventqBuild build ? new VeventqModel(build.Depth) : null;

    protected override ObjectSnapshot Snapshot(VeventqModel model) => model.Save();

    protected override VeventqModel Restore(ObjectStamp stamp, ObjectSnapshot snapshot) => VeventqModel.Restore(SnapshotFormat.Expect<VeventqSnapshot>(snapshot));

    protected override ObjectState Inspect(VeventqModel model, StatePage page) => new VeventqState(default, default, 0, model.IsOpen, model.Waiting, model.Lost);
}
