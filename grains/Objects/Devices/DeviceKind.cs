using IommuFd.GrainInterfaces;
using IommuFd.Grains.Calls;
using IommuFd.Grains.Encoding;
using IommuFd.Grains.Iommus;
using IommuFd.Grains.Model;

namespace IommuFd.Grains.Objects.Devices;

/// <summary>Devices that drivers have bound.</summary>
internal sealed class DeviceKind : GrainKind
{
    public static readonly DeviceKind Instance = new();

    public override ObjectType Type => ObjectType.Device;

    public override DrawingStyle Style => DrawingStyle.Device;

    public override BusyStepKind? EndedByDriver => BusyStepKind.UnbindDevice;

    public override IObjectGrain FindGrain(IGrainFactory factory, string key) => factory.GetGrain<IDeviceGrain>(key);

    public override ObjectBuild BuildOf(ObjectEntry entry) => new DeviceBuild(((DeviceEntry)entry).Device);

    public override ObjectEntry Restore(ContextModel context, ObjectId id, long serial, EntrySnapshot? snapshot) => DeviceEntry.Restore(context, id, serial, snapshot);

    public override ObjectState Describe(ObjectEntry entry) => DeviceHandlers.Describe((DeviceEntry)entry);

    /// <summary>Its driver detaches it. Where the driver is an object of the context, programs can only destroy that.</summary>
    public override HoldRelease ReleaseOf(ObjectEntry holder, Hold hold) => holder is DeviceEntry { DriverHold.Owner: ObjectEntry owner }
        ? HoldRelease.ByDestroying(owner)
        : new HoldRelease(BusyStepKind.DetachDevice, HoldReleaseEffect.Drop, holder, ((DeviceEntry)holder).PasidOf(hold));

    public override ValueTask EndForDriverAsync(IoctlScope scope, ObjectEntry entry) => DeviceHandlers.UnbindAsync(scope, (DeviceEntry)entry);

    public override string Summarize(ObjectEntry entry, ObjectState state)
    {
        var (device, pasids) = ((DeviceState)state, Pasids(entry));
        return (device.Hwpt == default ? "not attached" : $"attached to HWPT {device.Hwpt}")
            + (pasids.Length > 0 ? $", {Format.Count(pasids.Length, "PASID")} attached" : "")
            + (device.DmaFaults > 0 ? $", {device.DmaFaults} refused DMA" : "")
            + (device.Device.Group is { } group ? $", of group {group}" : "");
    }

    public override ObjectFact[] FactsOf(ObjectEntry entry, ObjectState state)
    {
        var (device, pasids) = ((DeviceState)state, Pasids(entry));
        var iommu = IommuDriver.Of(device.Device);
        return
        [
            new("bound by", ((DeviceEntry)entry).MadeBy),
            new("attached to", device.Hwpt == default ? "nothing" : $"HWPT {device.Hwpt}"),
            new("IOMMU", iommu.Name),
            new("IOMMU group", device.Device.Group ?? "its own"),
            new("reserved regions", Ranges(iommu.ReservedRegions(device.Device), "none")),
            new("dirty tracking", iommu.TracksDirty(device.Device) ? "supported" : "not supported"),
            new("PASIDs", iommu.PasidWidth(device.Device) is > 0 and var bits ? Format.Count(bits, "bit") : "not supported"),
            new("vDevice", ((DeviceEntry)entry).Vdevice is { } vdevice ? $"{vdevice.Ref}, {vdevice.Place}" : "none"),
            new("refused DMA", device.LastDmaFault is { } last ? $"{device.DmaFaults:N0}, last {last}" : "none"),
            new("attached PASIDs", pasids.Length == 0 ? "none" : string.Join(", ", pasids)),
        ];
    }

    private static string[] Pasids(ObjectEntry entry)
    {
        var device = (DeviceEntry)entry;
        return [.. device.AttachedPasids.Where(pasid => pasid != DeviceGroup.NoPasid).Select(pasid => $"{pasid} to HWPT {device.HwptAt(pasid)!.Id}")];
    }
}
