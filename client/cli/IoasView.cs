using System.Globalization;
using IommuFd.GrainInterfaces;
using IommuFd.Uapi;
using Spectre.Console;

namespace IommuFd.Cli;

/// <summary>Shows an IOAS: its areas, its ranges, and a small chart of its address space.</summary>
internal static class IoasView
{
    private const int ChartWidth = 64;

    /// <summary>One line, for a table of objects.</summary>
    public static string Summarize(IoasState ioas)
        => $"{Count(ioas.AreaCount, "area")}, {Size(ioas.FreeBytes)} free{(ioas.HugePages ? "" : ", huge pages off")}";

    public static void Write(IAnsiConsole console, IoasState ioas)
    {
        console.WriteLine($"huge pages {(ioas.HugePages ? "on" : "off")}, IOVAs aligned to {ioas.Alignment}");
        console.WriteLine($"{Count(ioas.AreaCount, "area")}, {Size(ioas.FreeBytes)} free, the largest hole for an automatic IOVA {Size(ioas.LargestHole)}");
        console.WriteLine($"allowed   {(ioas.Allowed.Length == 0 ? "everything" : string.Join(' ', ioas.Allowed))}");
        if (ioas.Domains + ioas.Accesses > 0)
        {
            console.WriteLine($"mirrored by {Count(ioas.Domains, "page table")}, accessed by {ioas.Accesses:N0}, pins {ioas.Pins:N0}");
        }

        console.WriteLine($"reserved  {(ioas.Reserved.Length == 0 ? "nothing" : string.Join(' ', ioas.Reserved))}");
        WriteChart(console, ioas);
        var table = new Table().Border(TableBorder.Simple).AddColumn("IOVA").AddColumn("last").AddColumn(new TableColumn("bytes").RightAligned())
            .AddColumn("maps").AddColumn("access");
        foreach (var area in ioas.Areas)
        {
            table.AddRow(
                Hex(area.Range.Start), Hex(area.Range.Last), Size(area.Range.LengthBytes),
                Markup.Escape(area.File is { } file ? $"{file.Identity} at {Hex(area.Address)}" : Hex(area.Address)),
                $"{(area.Access.HasFlag(IommuIoasMapFlags.Readable) ? 'r' : '-')}{(area.Access.HasFlag(IommuIoasMapFlags.Writeable) ? 'w' : '-')}");
        }

        console.Write(table);
        if (ioas.HasMoreAreas)
        {
            console.WriteLine($"more with --after {Hex(ioas.Areas[^1].Range.Last)}");
        }
    }

    /// <summary>Draws the page's part of the address space, from its first to its last area, a little more on both sides.</summary>
    public static string Chart(IoasState ioas)
    {
        if (ioas.Areas.Length == 0)
        {
            return "";
        }

        var (start, last) = (ioas.Areas[0].Range.Start, ioas.Areas[^1].Range.Last);
        var cells = new char[ChartWidth];
        for (var i = 0; i < ChartWidth; i++)
        {
            // Widths in 128 bits: the whole address space has 2^64 IOVAs.
            var width = (UInt128)(last - start) + 1;
            var cell = new IovaRange(
                start + (ulong)(width * (uint)i / ChartWidth),
                start + (ulong)(UInt128.Max((width * (uint)(i + 1) / ChartWidth), (width * (uint)i / ChartWidth) + 1) - 1));
            cells[i] = ioas.Areas.Any(area => area.Range.Start <= cell.Start && area.Range.Last >= cell.Last) ? '█'
                : ioas.Areas.Any(area => area.Range.Overlaps(cell)) ? '▒'
                : ioas.Reserved.Any(reserved => reserved.Overlaps(cell)) ? 'x'
                : '·';
        }

        return new string(cells);
    }

    private static void WriteChart(IAnsiConsole console, IoasState ioas)
    {
        if (Chart(ioas) is { Length: > 0 } chart)
        {
            console.WriteLine($"\n{Hex(ioas.Areas[0].Range.Start)} |{chart}| {Hex(ioas.Areas[^1].Range.Last)}   █ mapped, ▒ in part, x reserved, · free");
        }
    }

    private static string Hex(ulong value) => $"0x{value:X}";

    private static string Count(long count, string what) => $"{count:N0} {what}{(count == 1 ? "" : "s")}";

    private static string Size(ulong bytes)
    {
        string[] units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
        var size = bytes == 0 ? 0.0 : bytes;
        var unit = 0;
        for (; size >= 1024 && unit < units.Length - 1; unit++)
        {
            size /= 1024;
        }

        return string.Create(CultureInfo.InvariantCulture, $"{size:0.##} {units[unit]}");
    }
}
