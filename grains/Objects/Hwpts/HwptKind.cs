using IommuFd.GrainInterfaces;
using IommuFd.Grains.Calls;
using IommuFd.Grains.Encoding;
using IommuFd.Grains.Model;
using IommuFd.Grains.Objects.Devices;

namespace IommuFd.Grains.Objects.Hwpts;

/// <summary>Paging HWPTs. A HWPT's domain is a part of its IOAS's grain.</summary>
internal sealed class HwptKind : GrainKind
{
    public static readonly HwptKind Instance = new();

    public override ObjectType Type => ObjectType.HwptPaging;

    public override ObjectEntry AggregateOf(ObjectEntry entry) => ((HwptEntry)entry).Ioas;

    public override ObjectEntry Restore(ContextModel context, ObjectId id, long serial, EntrySnapshot? snapshot) => HwptEntry.Restore(context, id, serial, snapshot);

    public override ObjectState Describe(ObjectEntry entry) => ((HwptEntry)entry).Describe();

    public override ObjectState Complete(ObjectEntry entry, ObjectState state) => HwptHandlers.Complete((HwptEntry)entry, (HwptState)state);

    /// <summary>An automatic HWPT goes with its last device.</summary>
    public override bool GoesWith(ObjectEntry entry, HoldOwner last) => entry is HwptEntry { IsAuto: true } && last is DeviceEntry;

    /// <summary>An automatic HWPT that a driver held when its last device went: no device may be given it any more.</summary>
    public override ValueTask DestroyAsync(IoctlScope scope, ObjectEntry entry)
    {
        var hwpt = (HwptEntry)entry;
        hwpt.Ioas.RemoveAuto(hwpt);
        return ValueTask.CompletedTask;
    }
}
