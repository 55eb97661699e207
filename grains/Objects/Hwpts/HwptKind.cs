using IommuFd.GrainInterfaces;
using IommuFd.Grains.Calls;
using IommuFd.Grains.Encoding;
using IommuFd.Grains.Model;
using IommuFd.Grains.Objects.Devices;
using IommuFd.Uapi;

namespace IommuFd.Grains.Objects.Hwpts;

/// <summary>Paging HWPTs. A HWPT's domain is a part of its IOAS's grain.</summary>
internal sealed class HwptKind : GrainKind
{
    public static readonly HwptKind Instance = new();

    public override ObjectType Type => ObjectType.HwptPaging;

    public override DrawingStyle Style => DrawingStyle.PageTable;

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

    public override string Summarize(ObjectEntry entry, ObjectState state)
    {
        var hwpt = (HwptState)state;
        return $"mirrors IOAS {hwpt.Ioas}{(hwpt.IsAuto ? ", automatic" : "")}{(hwpt.Flags == IommuHwptAllocFlags.None ? "" : $", {hwpt.Flags}")}"
            + $"{(hwpt.TracksDirtyPages ? $", {Format.Count(hwpt.DirtyPages, "dirty page")}" : "")}";
    }

    public override ObjectFact[] FactsOf(ObjectEntry entry, ObjectState state)
    {
        var hwpt = (HwptState)state;
        return
        [
            new("mirrors", $"IOAS {hwpt.Ioas}"),
            new("made by", hwpt.IsAuto ? "attaching a device; destroyed with its last device" : "IOMMU_HWPT_ALLOC"),
            new("flags", hwpt.Flags == IommuHwptAllocFlags.None ? "none" : $"{hwpt.Flags}"),
            new("IOMMU", hwpt.Iommu),
            new("aperture", $"{hwpt.Aperture}"),
            new("page size", Format.Bytes(hwpt.PageSize)),
            new("dirty tracking", hwpt.TracksDirtyPages ? $"on, {Format.Count(hwpt.DirtyPages, "dirty page")}" : "off"),
        ];
    }
}
