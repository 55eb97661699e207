using IommuFd.GrainInterfaces;

namespace IommuFd.Grains.Objects.Devices;

/// <summary>Whether a description of a device, which anybody may have made up, keeps the limits of one.</summary>
internal static class DescriptionChecks
{
    public static bool IsSound(this DeviceDescription device)
        => IsName(device.Name)
            && IsName(device.Iommu)
            && (device.Group is null || IsName(device.Group))
            && device.ReservedRegions is { Length: <= IoctlLimits.MaxReservedRegions } regions
            && Array.TrueForAll(regions, region => region.Start <= region.Last)
            && device.PasidWidth is >= 0 and <= DeviceDescription.MaxPasidWidth;

    private static bool IsName(string? name) => name is { Length: > 0 and <= IoctlLimits.MaxNameLength };
}
