using IommuFd.GrainInterfaces;
using IommuFd.Grains.Calls;
using IommuFd.Grains.Encoding;
using IommuFd.Grains.Iommus;
using IommuFd.Grains.Model;
using IommuFd.Uapi;
using Orleans.Placement;

namespace IommuFd.Grains.Objects.Viommus;

/// <inheritdoc cref="IViommuGrain"/>
[KeepAlive]
[PreferLocalPlacement]
internal sealed class ViommuGrain(ObjectHost? host) : ObjectGrain<ViommuModel>(host), IViommuGrain
{
    public ValueTask<ObjectReply> AddVdeviceAsync(ObjectStamp stamp, ObjectId vdevice, ObjectId device, ulong virtId)
    {
        if (Enter(stamp) is not { } model)
        {
            return Lost<ObjectReply>();
        }

        return Reply(model.TryAddVdevice(vdevice, device, virtId)
            ? new ObjectReply(Errno.None, 0)
            : ObjectReply.Failed(Errno.EEXIST, Failure.Because(DiagnosticReason.VirtualIdTaken, virtId)));
    }

    public ValueTask<HwQueueReply> AddHwQueueAsync(ObjectStamp stamp, ObjectId queue, IommuHwQueueType type, uint index)
    {
        if (Enter(stamp) is not { } model)
        {
            return Lost<HwQueueReply>();
        }

        var errno = model.AddHwQueue(queue, type, index, out var previous);
        return Reply(new HwQueueReply(Errno.None, errno, previous, errno switch
        {
            Errno.None => null,
            Errno.EEXIST => Failure.Because(DiagnosticReason.QueueIndexTaken, index),
            Errno.EIO => Failure.Because(DiagnosticReason.QueueBeforeMissing, index),
            _ => Failure.Because(DiagnosticReason.QueueIndexUnusable, index, model.Hardware.HwQueues(type)),
        }));
    }

    public ValueTask<ViommuInvalidationReply> InvalidateAsync(ObjectStamp stamp, InvalidationEntries entries)
    {
        if (Enter(stamp) is not { } model)
        {
            return Lost<ViommuInvalidationReply>();
        }

        var caches = new SortedDictionary<uint, uint>();
        var errno = model.Invalidate(entries, caches, out var done);
        return Reply(new ViommuInvalidationReply(
            Errno.None,
            errno,
            done,
            [.. caches.Keys.Select(device => new ObjectId(device))],
            [.. caches.Values],
            errno == Errno.None ? null : InvalidationDiagnostics.Of(errno, model.Hardware.Format, entries, done)));
    }

    protected override ViommuModel? Build(ObjectStamp stamp) => stamp.Build is ViommuBuild build ? new ViommuModel(build.Iommu) : null;

    protected override ObjectSnapshot Snapshot(ViommuModel model) => model.Save();

    protected override ViommuModel Restore(ObjectStamp stamp, ObjectSnapshot snapshot) => ViommuModel.Restore(SnapshotFormat.Expect<ViommuSnapshot>(snapshot));

    protected override long? Holders(ViommuModel model, ObjectId part) => model.Holders(part);

    protected override void RemovePart(ViommuModel model, ObjectId part) => model.RemovePart(part);

    protected override ObjectState? Inspect(ViommuModel model, StatePage page)
        => page.Part == default ? new ViommuState { Vdevices = model.VdeviceCount, HwQueues = model.HwQueueCount } : null;
}
