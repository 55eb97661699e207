using IommuFd.GrainInterfaces;
using Spectre.Console;

namespace IommuFd.Cli;

/// <summary>Draws the address space of an IOAS: a small chart, and a table of its areas.</summary>
internal static class IoasView
{
    private const int ChartWidth = 64;

    public static void Write(IAnsiConsole console, IoasState ioas)
    {
        WriteChart(console, ioas);
        var table = new Table().Border(TableBorder.Simple).AddColumn("IOVA").AddColumn("last").AddColumn(new TableColumn("bytes").RightAligned())
            .AddColumn("maps").AddColumn("access");
        foreach (var area in ioas.Areas)
        {
            table.AddRow(
                Format.Hex(area.Range.Start), Format.Hex(area.Range.Last), Format.Bytes(area.Range), Terminal.Cell(Format.Memory(area)), Format.Access(area.Access));
        }

        console.Write(table);
        if (ioas.HasMoreAreas)
        {
            console.Line($"more with --after {Format.Hex(ioas.Areas[^1].Range.Last)}");
        }
    }

    /// <summary>The page's part of the address space, from its first to its last area, in 64 characters.</summary>
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
            console.Line("");
            console.Line($"{Format.Hex(ioas.Areas[0].Range.Start)} |{chart}| {Format.Hex(ioas.Areas[^1].Range.Last)}   █ mapped, ▒ in part, x reserved, · free");
        }
    }
}
