using System.Globalization;
using IommuFd.GrainInterfaces;
using IommuFd.Uapi;

namespace IommuFd.Silo.Dashboard;

/// <summary>Formats numbers, times and states for the pages.</summary>
internal static class Words
{
    private static readonly string[] ByteUnits = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];

    private static readonly string[] CountUnits = ["", "k", "M", "G", "T"];

    public static string Count(long count) => count.ToString("N0", CultureInfo.InvariantCulture);

    public static string Count(long count, string what) => $"{Count(count)} {what}{(count == 1 ? "" : "s")}";

    /// <summary>Three digits and a unit: 12.4 k.</summary>
    public static string Short(double count)
    {
        var unit = 0;
        for (; count >= 1000 && unit < CountUnits.Length - 1; unit++)
        {
            count /= 1000;
        }

        return $"{Digits(count)}{(unit == 0 ? "" : " ")}{CountUnits[unit]}";
    }

    public static string Hex(ulong value) => $"0x{value:X}";

    /// <summary>Bytes with a unit. 0 means 0 here; the overload for ranges formats a length of 2^64.</summary>
    public static string Bytes(ulong bytes)
    {
        var size = (double)bytes;
        var unit = 0;
        for (; size >= 1024 && unit < ByteUnits.Length - 1; unit++)
        {
            size /= 1024;
        }

        return string.Create(CultureInfo.InvariantCulture, $"{size:0.##} {ByteUnits[unit]}");
    }

    public static string Bytes(IovaRange range) => range == IovaRange.All ? "16 EiB" : Bytes(range.LengthBytes);

    /// <summary>A duration with its unit.</summary>
    public static string Took(TimeSpan? time) => time is { } took ? Took(took.TotalMicroseconds * 1000) : "–";

    public static string Took(double nanoseconds) => nanoseconds switch
    {
        < 1e3 => $"{Digits(nanoseconds)} ns",
        < 1e6 => $"{Digits(nanoseconds / 1e3)} µs",
        < 1e9 => $"{Digits(nanoseconds / 1e6)} ms",
        _ => $"{Digits(nanoseconds / 1e9)} s",
    };

    /// <summary>A time span in its two largest units.</summary>
    public static string Span(TimeSpan time)
    {
        time = time < TimeSpan.Zero ? TimeSpan.Zero : time;
        return time switch
        {
            { TotalSeconds: < 60 } => $"{(int)time.TotalSeconds} s",
            { TotalMinutes: < 60 } => $"{(int)time.TotalMinutes} min {time.Seconds} s",
            { TotalHours: < 24 } => $"{(int)time.TotalHours} h {time.Minutes} min",
            _ => $"{(int)time.TotalDays} d {time.Hours} h",
        };
    }

    public static string Mode(ContextMode mode) => mode == ContextMode.Durable ? "durable" : "volatile";

    public static string Access(IommuIoasMapFlags flags)
        => $"{(flags.HasFlag(IommuIoasMapFlags.Readable) ? 'r' : '-')}{(flags.HasFlag(IommuIoasMapFlags.Writeable) ? 'w' : '-')}";

    /// <summary>An object's state in one line.</summary>
    public static string State(ObjectState? state) => state switch
    {
        IoasState ioas => $"{Count(ioas.AreaCount, "area")}, {Bytes(ioas.FreeBytes)} free{(ioas.HugePages ? "" : ", huge pages off")}{(ioas.Pins == 0 ? "" : $", {Count(ioas.Pins, "pin")}")}",
        DeviceState device => $"{device.Device}{(device.Device.Group is { } group ? $" of group {group}" : "")}, {(device.Hwpt == default ? "not attached" : $"attached to HWPT {device.Hwpt}")}",
        HwptState hwpt => $"of IOAS {hwpt.Ioas}{(hwpt.IsAuto ? ", automatic" : "")}{(hwpt.Flags == IommuHwptAllocFlags.None ? "" : $", {hwpt.Flags}")}{(hwpt.TracksDirtyPages ? $", {Count(hwpt.DirtyPages, "dirty page")}" : "")}",
        AccessState access => access.Ioas == default ? "not attached" : $"attached to IOAS {access.Ioas}, {Count(access.Pins, "pin")} of {Bytes(access.PinnedBytes)}",
        SelftestState selftest => $"owns device {selftest.Device}",
        _ => "",
    };

    private static string Digits(double value) => value.ToString(value >= 100 || value == Math.Floor(value) ? "0" : value >= 10 ? "0.#" : "0.##", CultureInfo.InvariantCulture);
}
