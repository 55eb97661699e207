using IommuFd.GrainInterfaces;
using IommuFd.Uapi;
using Orleans.Placement;

namespace IommuFd.Grains.Objects.Ioas;

/// <inheritdoc cref="IIoasGrain"/>
[KeepAlive]
[PreferLocalPlacement]
internal sealed class IoasGrain(IGrainContextAccessor accessor) : ObjectGrain<IoasModel>(accessor), IIoasGrain
{
    public ValueTask<OptionReply> HugePagesAsync(ObjectStamp stamp, IommuOptionOp op, ulong value)
        => ValueTask.FromResult(Enter(stamp) is { } ioas ? ioas.HugePages(op, value) : OptionReply.Failed(Errno.EIO));

    protected override IoasModel Build() => new();

    protected override ObjectState Inspect(IoasModel model) => model.State;
}
