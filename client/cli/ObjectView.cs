using IommuFd.GrainInterfaces;
using IommuFd.Uapi;

namespace IommuFd.Cli;

/// <summary>Shows the states of objects in a line each, for tables.</summary>
internal static class ObjectView
{
    public static string Summarize(ObjectState? state) => state switch
    {
        IoasState ioas => IoasView.Summarize(ioas),
        DeviceState device => $"{device.Device}{Group(device.Device)}, {(device.Hwpt == default ? "not attached" : $"attached to HWPT {device.Hwpt}")}",
        HwptState hwpt => $"of IOAS {hwpt.Ioas}{(hwpt.IsAuto ? ", automatic" : "")}{Flags(hwpt)}{Dirty(hwpt)}",
        AccessState access => access.Ioas == default ? "not attached" : $"to IOAS {access.Ioas}, {access.Pins:N0} pins of {access.PinnedBytes:N0} bytes",
        SelftestState selftest => $"owns device {selftest.Device}",
        _ => "",
    };

    private static string Group(DeviceDescription device) => device.Group is { } group ? $" of group {group}" : "";

    private static string Flags(HwptState hwpt) => hwpt.Flags == IommuHwptAllocFlags.None ? "" : $", {hwpt.Flags}";

    private static string Dirty(HwptState hwpt) => hwpt.TracksDirtyPages ? $", {hwpt.DirtyPages:N0} dirty pages" : "";
}
