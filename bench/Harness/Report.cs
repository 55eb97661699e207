using System.Globalization;
using System.Text.Json;
using System.Text.Json.Serialization;

namespace IommuFd.Bench.Harness;

/// <summary>The table of rows: printed as each is measured, and kept for JSON.</summary>
internal sealed class Report(Machine machine)
{
    private static readonly JsonSerializerOptions Json = new()
    {
        WriteIndented = true,
        PropertyNamingPolicy = JsonNamingPolicy.CamelCase,
        DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull,
    };

    private readonly List<Row> _rows = [];

    public int Count => _rows.Count;

    public int Misses => _rows.Count(row => row.IsMet == false);

    public void PrintHeader()
    {
        Console.WriteLine(machine);
        Print("", "median (min..max)", "B/op", "cpu ns/op", "p50, p99 µs", "yardstick", "B/op", "cpu ns/op", "p50, p99 µs", "ratio (min..max)", "target", "");
    }

    public void Add(Row row)
    {
        if (_rows.Count == 0 || _rows[^1].Section != row.Section)
        {
            Console.WriteLine(row.Section);
        }

        _rows.Add(row);
        Print(
            $"  {row.Name}",
            $"{Format(row.Value, row.Value.Median < 1000 ? "0.0" : "#,0")} {row.Unit}",
            Format(row.AllocatedBytes),
            Format(row.CpuNanoseconds),
            Format(row.Microseconds, row.LateMicroseconds),
            row.YardstickValue is { } yardstick ? $"{yardstick.Median.ToString(yardstick.Median < 100 ? "0.0" : "#,0", CultureInfo.InvariantCulture)}  {row.Yardstick}" : "",
            Format(row.YardstickAllocatedBytes),
            Format(row.YardstickCpuNanoseconds),
            Format(row.YardstickMicroseconds, row.YardstickLateMicroseconds),
            row.Ratio is { } ratio ? Format(ratio, "0.00") : "",
            row.Target?.ToString() ?? "",
            row.IsMet switch { true => "ok", false => "MISS", null => "" });
    }

    public void WriteJson(string path) => File.WriteAllText(path, JsonSerializer.Serialize(new { machine, rows = _rows }, Json) + "\n");

    private static void Print(
        string name, string value, string bytes, string cpu, string times, string yardstick, string yardstickBytes, string yardstickCpu, string yardstickTimes, string ratio, string target, string verdict)
        => Console.WriteLine(
            $"{name,-52} {value,-42} {bytes,6} {cpu,9} {times,13}   {yardstick,-46} {yardstickBytes,6} {yardstickCpu,9} {yardstickTimes,13}   {ratio,-20} {target,-7} {verdict}".TrimEnd());

    private static string Format(double? median, double? late) => median is null ? "" : string.Create(CultureInfo.InvariantCulture, $"{median:0.0}, {late:0.0}");

    private static string Format(double? bytes) => bytes?.ToString("#,0", CultureInfo.InvariantCulture) ?? "";

    private static string Format(Spread spread, string format) => string.Create(
        CultureInfo.InvariantCulture,
        $"{spread.Median.ToString(format, CultureInfo.InvariantCulture)} ({spread.Min.ToString(format, CultureInfo.InvariantCulture)}..{spread.Max.ToString(format, CultureInfo.InvariantCulture)})");
}
