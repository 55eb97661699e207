using IommuFd.GrainInterfaces;
using IommuFd.Grains.Iommus;
using IommuFd.Grains.Model;
using IommuFd.Grains.Objects.Devices;
using IommuFd.Uapi;

namespace IommuFd.Grains.Inspection;

// What people are shown of an object: made here, by the service, so that clients show objects of every kind alike and know none of them.
// This is the one place that tells kinds apart for people.

/// <summary>Says what people are shown of an object of each kind.</summary>
internal static class KindText
{
    /// <summary>How an object is drawn.</summary>
    public static DrawingStyle Style(ObjectEntry entry) => entry.Type switch
    {
        ObjectType.Ioas => DrawingStyle.Memory,
        ObjectType.Device => DrawingStyle.Device,
        ObjectType.HwptPaging => DrawingStyle.PageTable,
        ObjectType.Access => DrawingStyle.Access,
        _ => DrawingStyle.Other,
    };

    /// <summary>An object's state in one line, for lists; empty where it is not known.</summary>
    public static string Summary(ObjectEntry entry, ObjectState? state) => state switch
    {
        IoasState ioas => $"{Format.Count(ioas.AreaCount, "area")}, {Format.Bytes(ioas.FreeBytes)} free"
            + $"{(ioas.HugePages ? "" : ", huge pages off")}{(ioas.Pins == 0 ? "" : $", {Format.Count(ioas.Pins, "pin")}")}",
        DeviceState device => $"{(device.Hwpt == default ? "not attached" : $"attached to HWPT {device.Hwpt}")}"
            + $"{(Pasids(entry).Length is > 0 and var pasids ? $", {Format.Count(pasids, "PASID")} attached" : "")}{(device.Device.Group is { } group ? $", of group {group}" : "")}",
        HwptState hwpt => $"mirrors IOAS {hwpt.Ioas}{(hwpt.IsAuto ? ", automatic" : "")}{(hwpt.Flags == IommuHwptAllocFlags.None ? "" : $", {hwpt.Flags}")}"
            + $"{(hwpt.TracksDirtyPages ? $", {Format.Count(hwpt.DirtyPages, "dirty page")}" : "")}",
        AccessState access => access.Ioas == default
            ? "not attached"
            : $"attached to IOAS {access.Ioas}{(access.Pins == 0 ? "" : $", {Pins(access)}")}",
        SelftestState selftest => $"owns device {selftest.Device}",
        _ => "",
    };

    /// <summary>All that there is to say about an object's state; nothing where it is not known.</summary>
    public static ObjectFact[] Facts(ObjectEntry entry, ObjectState? state) => state switch
    {
        IoasState ioas =>
        [
            new("areas", Format.Count(ioas.AreaCount)),
            new("free", Format.Bytes(ioas.FreeBytes)),
            new("largest hole", Format.Bytes(ioas.LargestHole)),
            new("IOVA alignment", Format.Count((long)ioas.Alignment, "byte")),
            new("huge pages", ioas.HugePages ? "on" : "off"),
            new("page tables", Format.Count(ioas.Domains)),
            new("accesses", Format.Count(ioas.Accesses)),
            new("pins", Format.Count(ioas.Pins)),
            new("allowed", Ranges(ioas.Allowed, "everything not reserved")),
            new("reserved", Ranges(ioas.Reserved, "nothing")),
        ],
        DeviceState device => Device(device, IommuDriver.Of(device.Device), Driver(entry), Pasids(entry)),
        HwptState hwpt =>
        [
            new("mirrors", $"IOAS {hwpt.Ioas}"),
            new("made by", hwpt.IsAuto ? "attaching a device; destroyed with its last device" : "IOMMU_HWPT_ALLOC"),
            new("flags", hwpt.Flags == IommuHwptAllocFlags.None ? "none" : $"{hwpt.Flags}"),
            new("IOMMU", hwpt.Iommu),
            new("aperture", $"{hwpt.Aperture}"),
            new("page size", Format.Bytes(hwpt.PageSize)),
            new("dirty tracking", hwpt.TracksDirtyPages ? $"on, {Format.Count(hwpt.DirtyPages, "dirty page")}" : "off"),
        ],
        AccessState access =>
        [
            new("made by", Driver(entry)),
            new("attached to", access.Ioas == default ? "nothing" : $"IOAS {access.Ioas}"),
            new("can pin pages", access.NeedsPinPages ? "yes" : "no"),
            new("pins", access.Pins == 0 ? "none" : Pins(access)),
        ],
        SelftestState selftest => [new("owns", $"device {selftest.Device}")],
        _ => [],
    };

    private static ObjectFact[] Device(DeviceState device, IommuDriver iommu, string driver, string[] pasids) =>
    [
        new("bound by", driver),
        new("attached to", device.Hwpt == default ? "nothing" : $"HWPT {device.Hwpt}"),
        new("IOMMU", iommu.Name),
        new("IOMMU group", device.Device.Group ?? "its own"),
        new("reserved regions", Ranges(iommu.ReservedRegions(device.Device), "none")),
        new("dirty tracking", iommu.TracksDirty(device.Device) ? "supported" : "not supported"),
        new("PASIDs", iommu.PasidWidth(device.Device) is > 0 and var bits ? Format.Count(bits, "bit") : "not supported"),
        new("attached PASIDs", pasids.Length == 0 ? "none" : string.Join(", ", pasids)),
    ];

    private static string Driver(ObjectEntry entry) => entry is not DriverOwnedEntry { DriverHold.Owner: { } owner } ? ""
        : owner is ContextReference reference ? $"driver '{reference.Name}'"
        : owner is ObjectEntry other ? $"{other.Ref}"
        : "";

    private static string[] Pasids(ObjectEntry entry) => entry is DeviceEntry device
        ? [.. device.AttachedPasids.Where(pasid => pasid != DeviceGroup.NoPasid).Select(pasid => $"{pasid} to HWPT {device.HwptAt(pasid)!.Id}")]
        : [];

    private static string Pins(AccessState access) => $"{Format.Count(access.Pins, "pin")} of {Format.Bytes(access.PinnedBytes)}";

    // An inspection lists no more than the first ranges.
    private static string Ranges(IovaRange[] ranges, string none)
        => ranges.Length == 0 ? none : $"{string.Join(", ", ranges)}{(ranges.Length < IoctlLimits.MaxListed ? "" : ", …")}";
}
