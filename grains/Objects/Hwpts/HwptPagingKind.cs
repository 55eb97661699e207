using IommuFd.GrainInterfaces;
using IommuFd.Grains.Calls;
using IommuFd.Grains.Encoding;
using IommuFd.Grains.Model;
using IommuFd.Uapi;

namespace IommuFd.Grains.Objects.Hwpts;

/// <summary>Paging HWPTs. A HWPT's domain is a part of its IOAS's grain.</summary>
internal sealed class HwptPagingKind : GrainKind
{
    public static readonly HwptPagingKind Instance = new();

    public override ObjectType Type => ObjectType.HwptPaging;

    public override DrawingStyle Style => DrawingStyle.PageTable;

    public override ObjectEntry AggregateOf(ObjectEntry entry) => ((HwptPagingEntry)entry).Ioas;

    public override ObjectEntry Restore(ContextModel context, ObjectId id, long serial, EntrySnapshot? snapshot) => HwptPagingEntry.Restore(context, id, serial, snapshot);

    public override ObjectState Describe(ObjectEntry entry) => ((HwptPagingEntry)entry).Describe();

    public override ObjectState Complete(ObjectEntry entry, ObjectState state) => HwptHandlers.Complete((HwptPagingEntry)entry, (HwptState)state);

    /// <summary>An automatic HWPT goes with its last device.</summary>
    public override bool GoesWith(ObjectEntry entry, HoldOwner last) => entry is HwptPagingEntry { IsAuto: true } && last is DriverOwnedEntry;

    /// <summary>
    /// No device may be given an automatic HWPT any more that a driver held when its last device went; and page faults go elsewhere.
    /// </summary>
    public override ValueTask DestroyAsync(IoctlScope scope, ObjectEntry entry)
    {
        var hwpt = (HwptPagingEntry)entry;
        hwpt.Ioas.RemoveAuto(hwpt);
        return HwptHandlers.StopReportingAsync(scope, hwpt);
    }

    // A device joins its domain in the call that attaches it.
    public override bool IsToldOf(ObjectEntry entry, ObjectEntry holder) => holder is not DriverOwnedEntry;

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
            new("page faults go to", hwpt.FaultQueue == default ? "nothing" : $"fault queue {hwpt.FaultQueue}"),
            new("dirty tracking", hwpt.TracksDirtyPages ? $"on, {Format.Count(hwpt.DirtyPages, "dirty page")}" : "off"),
        ];
    }
}
