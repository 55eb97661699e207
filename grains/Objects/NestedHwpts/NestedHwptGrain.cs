using IommuFd.GrainInterfaces;
using IommuFd.Grains.Calls;
using IommuFd.Grains.Encoding;
using IommuFd.Grains.Iommus;
using IommuFd.Grains.Model;
using IommuFd.Grains.Objects.Viommus;
using IommuFd.Uapi;
using Orleans.Placement;

namespace IommuFd.Grains.Objects.NestedHwpts;

/// <inheritdoc cref="INestedHwptGrain"/>
[KeepAlive]
[PreferLocalPlacement]
internal sealed class NestedHwptGrain(ObjectHost? host) : ObjectGrain<NestedHwptModel>(host), INestedHwptGrain
{
    public ValueTask<ObjectReply> InvalidateAsync(ObjectStamp stamp, InvalidationEntries entries)
    {
        if (Enter(stamp) is not { } model)
        {
            return Lost<ObjectReply>();
        }

        var errno = model.Invalidate(entries, out var done);
        return Reply(new ObjectReply(errno, done, errno == Errno.None ? null : InvalidationDiagnostics.Of(errno, model.Domain.Format, entries, done)));
    }

    public ValueTask<ObjectReply> CheckIotlbAsync(ObjectStamp stamp, uint entry, uint expected)
    {
        if (Enter(stamp) is not { } model)
        {
            return Lost<ObjectReply>();
        }

        return Reply(CacheCheck.Run(model.Domain.Iotlb, entry, expected, DiagnosticReason.UnexpectedIotlb));
    }

    protected override NestedHwptModel? Build(ObjectStamp stamp) => stamp.Build is NestedHwptBuild build ? new NestedHwptModel(build) : null;

    protected override ObjectSnapshot Snapshot(NestedHwptModel model) => model.Save();

    protected override NestedHwptModel Restore(ObjectStamp stamp, ObjectSnapshot snapshot) => NestedHwptModel.Restore(SnapshotFormat.Expect<NestedHwptSnapshot>(snapshot));

    // The devices that are attached to it are told of.
    protected override long? Holders(NestedHwptModel model, ObjectId part) => part == default ? 0 : null;

    protected override ObjectState Inspect(NestedHwptModel model, StatePage page) => new NestedHwptState { Invalidations = model.Invalidations };
}
