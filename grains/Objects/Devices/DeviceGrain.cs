using IommuFd.GrainInterfaces;
using IommuFd.Grains.Calls;
using IommuFd.Grains.Encoding;
using IommuFd.Grains.Model;
using IommuFd.Uapi;
using Orleans.Placement;

namespace IommuFd.Grains.Objects.Devices;

/// <inheritdoc cref="IDeviceGrain"/>
[KeepAlive]
[PreferLocalPlacement]
internal sealed class DeviceGrain(ObjectHost? host) : ObjectGrain<DeviceModel>(host), IDeviceGrain
{
    public ValueTask<HwInfoReply> HwInfoAsync(ObjectStamp stamp, IommuHwInfoType type)
    {
        if (Enter(stamp) is not { } model)
        {
            return Lost<HwInfoReply>();
        }

        var errno = model.Hardware.HwInfo(ref type, out var data);
        return Reply(errno == Errno.None
            ? new HwInfoReply(errno, type, data, model.Capabilities, null)
            : HwInfoReply.Failed(errno, Failure.Because(DiagnosticReason.UnsupportedKind, (uint)type)));
    }

    public ValueTask<ObjectReply> CheckCacheAsync(ObjectStamp stamp, uint entry, uint expected)
    {
        if (Enter(stamp) is not { } model)
        {
            return Lost<ObjectReply>();
        }

        return Reply(CacheCheck.Run(model.Hardware.Cache, entry, expected, DiagnosticReason.UnexpectedCache));
    }

    public ValueTask<ObjectReply> InvalidateCacheAsync(ObjectStamp stamp, uint entries)
    {
        if (Enter(stamp) is not { } model)
        {
            return Lost<ObjectReply>();
        }

        model.Hardware.InvalidateCache(entries);
        return Reply(new ObjectReply(Errno.None, 0));
    }

    protected override DeviceModel? Build(ObjectStamp stamp) => stamp.Build is DeviceBuild build ? new DeviceModel(build.Device) : null;

    protected override ObjectSnapshot Snapshot(DeviceModel model) => model.Save();

    protected override DeviceModel Restore(ObjectStamp stamp, ObjectSnapshot snapshot) => DeviceModel.Restore(SnapshotFormat.Expect<DeviceSnapshot>(snapshot));

    // Its driver, which alone can hold a device.
    protected override long? Holders(DeviceModel model, ObjectId part) => part == default ? 1 : null;

    // What people see of a device stands in its context's table.
    protected override ObjectState? Inspect(DeviceModel model, StatePage page) => null;
}
