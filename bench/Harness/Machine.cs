using System.Globalization;
using System.Reflection;
using System.Runtime;
using System.Runtime.InteropServices;

namespace IommuFd.Bench.Harness;

/// <summary>The machine of a run: what its absolute figures depend on.</summary>
internal sealed record Machine(string Processor, int Cores, string Load, string OperatingSystem, string Runtime, string Orleans, string Collector)
{
    public static Machine Current() => new(
        Processor: FirstLine("/proc/cpuinfo", "model name")?.Split(':')[1].Trim() ?? RuntimeInformation.ProcessArchitecture.ToString(),
        Cores: Environment.ProcessorCount,
        Load: FirstLine("/proc/loadavg", "") is { } line ? string.Join(' ', line.Split(' ').Take(3)) : "unknown",
        OperatingSystem: RuntimeInformation.OSDescription,
        Runtime: RuntimeInformation.FrameworkDescription,
        Orleans: typeof(Grain).Assembly.GetCustomAttribute<AssemblyInformationalVersionAttribute>()?.InformationalVersion.Split(' ', '+')[0].TrimEnd('.') ?? "unknown",
        Collector: $"{(GCSettings.IsServerGC ? "server" : "workstation")}, {GCSettings.LatencyMode.ToString().ToLowerInvariant()}");

    public override string ToString() => string.Create(
        CultureInfo.InvariantCulture,
        $"{Cores} cores ({Processor}), load {Load}; {Runtime}, Orleans {Orleans}, GC {Collector}; {OperatingSystem}");

    private static string? FirstLine(string path, string start)
        => File.Exists(path) ? File.ReadLines(path).FirstOrDefault(line => line.StartsWith(start, StringComparison.Ordinal)) : null;
}
