using IommuFd.GrainInterfaces;
using IommuFd.Grains.Calls;
using IommuFd.Grains.Encoding;
using IommuFd.Grains.Model;

namespace IommuFd.Grains.Objects.Devices;

/// <summary>Devices that drivers have bound.</summary>
internal sealed class DeviceKind : GrainKind
{
    public static readonly DeviceKind Instance = new();

    public override ObjectType Type => ObjectType.Device;

    public override BusyStepKind? EndedByDriver => BusyStepKind.UnbindDevice;

    public override IObjectGrain FindGrain(IGrainFactory factory, string key) => factory.GetGrain<IDeviceGrain>(key);

    public override ObjectEntry Restore(ContextModel context, ObjectId id, long serial, EntrySnapshot? snapshot) => DeviceEntry.Restore(context, id, serial, snapshot);

    public override ObjectState Describe(ObjectEntry entry) => DeviceHandlers.Describe((DeviceEntry)entry);

    /// <summary>Its driver detaches it. Where the driver is an object of the context, programs can only destroy that.</summary>
    public override HoldRelease ReleaseOf(ObjectEntry holder, Hold hold) => holder is DeviceEntry { DriverHold.Owner: ObjectEntry owner }
        ? HoldRelease.ByDestroying(owner)
        : new HoldRelease(BusyStepKind.DetachDevice, HoldReleaseEffect.Drop, holder, ((DeviceEntry)holder).PasidOf(hold));

    public override ValueTask EndForDriverAsync(IoctlScope scope, ObjectEntry entry) => DeviceHandlers.UnbindAsync(scope, (DeviceEntry)entry);
}
