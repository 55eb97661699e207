using IommuFd.GrainInterfaces;
using IommuFd.Grains.Calls;
using IommuFd.Grains.Encoding;
using IommuFd.Grains.Model;

namespace IommuFd.Grains.Objects.Vdevices;

/// <summary>vDevices. A vDevice is a part of its vIOMMU's grain, which finds devices by the guest's ids.</summary>
internal sealed class VdeviceKind : GrainKind
{
    public static readonly VdeviceKind Instance = new();

    public override ObjectType Type => ObjectType.Vdevice;

    public override DrawingStyle Style => DrawingStyle.Device;

    public override ObjectEntry AggregateOf(ObjectEntry entry) => ((VdeviceEntry)entry).Viommu;

    public override ObjectEntry Restore(ContextModel context, ObjectId id, long serial, EntrySnapshot? snapshot) => VdeviceEntry.Restore(context, id, serial, snapshot);

    public override ValueTask DestroyAsync(IoctlScope scope, ObjectEntry entry)
    {
        ((VdeviceEntry)entry).Device.Vdevice = null;
        return ValueTask.CompletedTask;
    }

    public override ObjectState Describe(ObjectEntry entry)
    {
        var vdevice = (VdeviceEntry)entry;
        return new VdeviceState(vdevice.Viommu.Id, vdevice.Device.Id, vdevice.VirtId);
    }

    public override string Summarize(ObjectEntry entry, ObjectState state)
    {
        var vdevice = (VdeviceState)state;
        return $"device {vdevice.Device} as 0x{vdevice.VirtId:X} on vIOMMU {vdevice.Viommu}";
    }

    public override ObjectFact[] FactsOf(ObjectEntry entry, ObjectState state)
    {
        var vdevice = (VdeviceState)state;
        return [new("device", $"device {vdevice.Device}"), new("vIOMMU", $"vIOMMU {vdevice.Viommu}"), new("id there", $"0x{vdevice.VirtId:X}")];
    }
}
