using System.Globalization;
using System.Text.RegularExpressions;
using IommuFd.Chaos.Outages;
using IommuFd.TestSupport;

namespace IommuFd.Chaos.Clients;

/// <summary>
/// C programs by the silos' gateways, one for each: tests/bridge/steady.c, which finds itself what is lost or done twice. Each works from the run's start to its end on a durable
/// context, of which it never loses a call, however often its silo ends.
/// </summary>
internal sealed partial class BridgedPrograms : IAsyncDisposable
{
    private static readonly string Built = Path.GetFullPath(Path.Combine(AppContext.BaseDirectory, "../../../bridge"));

    private readonly List<ChildProcess> _programs;

    private BridgedPrograms(List<ChildProcess> programs) => _programs = programs;

    /// <summary>The rounds of all of them.</summary>
    public long Rounds { get; private set; }

    /// <summary>The longest that one round took, in milliseconds.</summary>
    public long Longest { get; private set; }

    /// <summary>The setting that has a silo listen for the program that is its client.</summary>
    public static string GatewayOf(string folder, int siloPort) => $"--Gateway:Path={SocketOf(folder, siloPort)}";

    /// <summary>The socket of the gateway of the silo with a port.</summary>
    public static string SocketOf(string folder, int siloPort) => Path.Combine(folder, $"{siloPort}.sock");

    /// <summary>Starts a program for each silo, and waits until it works.</summary>
    public static async Task<BridgedPrograms> StartAsync(string folder, IEnumerable<SiloProcess> silos, OutageReport outages)
    {
        var programs = silos.Select((silo, i) => Start(folder, silo, i + 1, outages)).ToList();
        await Task.WhenAll(programs.Select(program => program.WaitForLineAsync("rounds ")));
        return new BridgedPrograms(programs);
    }

    /// <summary>Ends them, and reports what they found.</summary>
    public async Task EndAsync(Action<string> violate)
    {
        foreach (var program in _programs)
        {
            if (!program.HasExited)
            {
                program.CloseInput();
            }
        }

        foreach (var program in _programs)
        {
            await program.Exited;
            if (await program.WaitForExitAsync() is var status && status == 0 && Over().Match(program.Output) is { Success: true } over)
            {
                Rounds += long.Parse(over.Groups["rounds"].ValueSpan, CultureInfo.InvariantCulture);
                Longest = Math.Max(Longest, long.Parse(over.Groups["longest"].ValueSpan, CultureInfo.InvariantCulture));
            }
            else
            {
                violate($"a bridged program ended with status {status}:\n{program.Output}");
            }
        }
    }

    public async ValueTask DisposeAsync()
    {
        foreach (var program in _programs)
        {
            await program.DisposeAsync();
        }
    }

    private static ChildProcess Start(string folder, SiloProcess silo, int number, OutageReport outages)
    {
        var program = ChildProcess.StartCommand(
            new()
            {
                ["LD_PRELOAD"] = Path.Combine(Built, "libiommufd-bridge.so"),
                ["IOMMUFD_SOCKET"] = SocketOf(folder, silo.SiloPort),
                ["IOMMUFD_MODE"] = "durable",
                ["IOMMUFD_PATIENCE"] = "120",
            },
            Path.Combine(Built, "test-steady"));
        program.Printed += line =>
        {
            if (Outage.Parse("rounds of C programs", line, number) is { } outage)
            {
                outages.Add(outage);
            }
        };
        return program;
    }

    [GeneratedRegex(@"over: (?<rounds>\d+) rounds, the longest (?<longest>\d+) ms")]
    private static partial Regex Over();
}
