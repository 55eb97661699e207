using IommuFd.Bench.Harness;
using IommuFd.Silo;
using IommuFd.Silo.Gateway;

namespace IommuFd.Bench.Sections;

// A program's ioctl is a round trip over a Unix socket. The least that could cost is a bare exchange of the same bytes between two processes in C: the yardstick. It has its
// server in a process of its own, as the gateway is in this one.

/// <summary>Ioctls of C programs, over the gateway, against a bare exchange of the same bytes over the same kind of socket.</summary>
internal static class ProgramsSection
{
    private const string Section = "programs";

    private static readonly Target One = Target.RatioAtLeast(0.6);
    private static readonly Target Many = Target.RatioAtLeast(0.3);
    private static readonly Target Threads = Target.RatioAtLeast(4);
    private static readonly Target Untouched = Target.RatioAtLeast(0.98);

    public static async Task RunAsync(BenchRun run)
    {
        if (run.Options.Filter is { } filter && !Section.StartsWith(filter, StringComparison.OrdinalIgnoreCase))
        {
            return;
        }

        var folder = Directory.CreateTempSubdirectory("iommufd-bench-");
        var (path, bare) = (Path.Combine(folder.FullName, "socket"), Path.Combine(folder.FullName, "bare"));
        using var silo = await SiloHost.StartInProcessAsync(gateway: new GatewaySettings { Path = path });
        using var server = ProgramLoad.Start("bench-echo", [], bare);
        try
        {
            await server.StandardOutput.ReadLineAsync();
            var bridged = new Dictionary<string, string> { ["LD_PRELOAD"] = Path.Combine(ProgramLoad.Folder, "libiommufd-bridge.so"), ["IOMMUFD_SOCKET"] = path };
            foreach (var (what, name) in new[] { ("destroy", "DESTROY of a missing id"), ("map", "IOAS_MAP, IOAS_UNMAP") })
            {
                await ProgramLoad.CompareAsync(run, Section, new("bare exchange", [], "bare", bare, what, "1"), new(name, bridged, "ioctl", what, "1"), One);
                await ProgramLoad.CompareAsync(run, Section, new(name, bridged, "ioctl", what, "1"), new($"{name}, by 16 threads", bridged, "ioctl", what, "16"), Threads);
                await ProgramLoad.CompareAsync(run, Section, new("64 bare exchanges by 64 threads", [], "bare", bare, what, "64t"), new($"{name}, by 64 threads", bridged, "ioctl", what, "64"), Many);
            }

            await ProgramLoad.CompareAsync(run, Section, new("bare exchange", [], "bare", bare, "destroy", "1"), new("DESTROY of a missing id, frames", [], "frames", path, "destroy", "1"), One);
            await ProgramLoad.CompareAsync(run, Section, new("64 bare exchanges at once", [], "bare", bare, "destroy", "64"), new("64 DESTROY of a missing id at once, frames", [], "frames", path, "destroy", "64"), Many);
            await ProgramLoad.CompareAsync(run, Section, new("without the bridge", [], "ioctl", "other", "1"), new("FIONREAD of a pipe", bridged, "ioctl", "other", "1"), Untouched);
        }
        finally
        {
            server.Kill();
            await silo.StopAsync();
            folder.Delete(recursive: true);
        }
    }
}
