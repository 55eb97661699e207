using System.Globalization;
using IommuFd.TestSupport;

namespace IommuFd.Chaos.Clients;

/// <summary>The process of a <see cref="HostileClient"/>.</summary>
internal sealed class HostileProcess : IAsyncDisposable
{
    private readonly ChildProcess _process;

    private HostileProcess(ChildProcess process) => _process = process;

    /// <summary>Starts it against silos.</summary>
    public static async Task<HostileProcess> StartAsync(string folder, int seed, IReadOnlyList<SiloProcess> silos)
    {
        var process = ChildProcess.Start(
            "IommuFd.Chaos.dll",
            "hostile",
            seed.ToString(CultureInfo.InvariantCulture),
            string.Join(',', silos.Select(silo => BridgedPrograms.SocketOf(folder, silo.SiloPort))),
            string.Join(',', silos.SelectMany(silo => (int[])[silo.SiloPort, silo.GatewayPort])));
        await process.WaitForLineAsync("ready");
        return new HostileProcess(process);
    }

    /// <summary>Ends it.</summary>
    /// <param name="violate">Called if it has ended before, for which it has no reason.</param>
    /// <returns>What it did, in its words.</returns>
    public async Task<string> EndAsync(Action<string> violate)
    {
        if (_process.HasExited)
        {
            violate($"the hostile client ended by itself:\n{_process.Output}");
            return "";
        }

        _process.CloseInput();
        await _process.Exited;
        return _process.Output.Split('\n')[^1];
    }

    public ValueTask DisposeAsync() => _process.DisposeAsync();
}
