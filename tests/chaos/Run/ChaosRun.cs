using System.Collections.Concurrent;
using System.Diagnostics;
using System.Globalization;
using IommuFd.Chaos.Clients;
using IommuFd.Chaos.Faults;
using IommuFd.Chaos.Outages;
using IommuFd.Client;
using IommuFd.TestSupport;

namespace IommuFd.Chaos.Run;

// Several concurrent lanes, one of them of another cluster where there is one, each open one context after the other, have all client processes work on it at once, inspect what is left, close
// it, and judge its history (Round.cs). Meanwhile silos are killed, paused and stopped, and clients killed (FaultInjector.cs). When the
// time is over and everything is up again, nothing must be left (Leftovers.cs).

/// <summary>One run: a cluster, its clients, its faults, and the violations found.</summary>
internal sealed class ChaosRun
{
    private const string OtherCluster = "other";

    private readonly ChaosOptions _options;
    private readonly Action<string> _log;
    private readonly string _folder = Directory.CreateTempSubdirectory("iommufd-chaos-").FullName;
    private readonly ConcurrentQueue<string> _violations = [];
    private readonly Lock _tallying = new();
    private readonly FaultLog _faults = new();
    private readonly OutageReport _outages;
    private Tally _tally = Tally.None;
    private BridgedPrograms? _programs;
    private string _hostile = "";
    private int _rounds;
    private int _judged;

    private ChaosRun(ChaosOptions options, Action<string> log) => (_options, _log, _outages) = (options, log, new OutageReport(_faults));

    /// <summary>Runs, and logs events line by line.</summary>
    public static async Task<ChaosReport> RunAsync(ChaosOptions options, Action<string> log)
    {
        await using var own = options.Database is null ? await ChaosDatabase.StartAsync() : null;
        return await new ChaosRun(options, log).RunAsync(own?.ConnectionString ?? options.Database!, own);
    }

    private async Task<ChaosReport> RunAsync(string database, ChaosDatabase? breakable)
    {
        Log($"seed {_options.Seed}, histories in {_folder}");
        string[] program = _options.Broken ? ["IommuFd.Chaos.dll", "broken-silo"] : ["iommufd-silo.dll"];
        await using var cluster = SiloCluster.Create(
            SiloCluster.DefaultCluster, database, program, port => _options.Programs ? [BridgedPrograms.GatewayOf(_folder, port)] : [], $"--Contexts:Lease={_options.Lease.ToString("c", CultureInfo.InvariantCulture)}", "--Silo:Secret=required");
        await cluster.StartAsync(_options.Silos);
        var clients = Enumerable.Range(1, _options.ClientProcesses).Select(number => new ClientSlot(database, number, _options.Workers, _outages)).ToList();
        try
        {
            await using var other = await StartOtherAsync(database);
            await using var strangers = other is null ? null : new ClientSlot(database, _options.ClientProcesses + 1, _options.Workers, _outages, OtherCluster);
            await Task.WhenAll(clients.Append(strangers).OfType<ClientSlot>().Select(client => client.StartAsync()));
            var grains = await cluster.ConnectAsync();
            var random = new Random(_options.Seed);
            var silos = cluster.Silos.Select((silo, i) => new SiloSlot(cluster, silo, i + 1, _faults, () => TimeSpan.FromSeconds(3 * random.NextDouble()), Log)).ToList();
            using var faults = new FaultInjector(silos, clients, breakable, _options.Seed, _options.Broken ? [FaultKind.PauseSilo] : _options.Faults, _options.MostAway, _faults, port => IsDeadAsync(grains, port), Log);

            using var over = new CancellationTokenSource();
            var supervising = Task.WhenAll(silos.Select(silo => silo.SuperviseAsync(over.Token)));
            try
            {
                await using var programs = _options.Programs ? await BridgedPrograms.StartAsync(_folder, cluster.Silos, _outages) : null;
                await using var hostile = _options.Hostile ? await HostileProcess.StartAsync(_folder, _options.Seed, cluster.Silos) : null;
                var (own, others) = (new IommufdClient(grains), other is null ? null : new IommufdClient(await other.ConnectAsync()));
                List<Round> rounds = [.. Enumerable.Repeat(new Round(own, clients, others, _options, _outages, _folder), _options.Contexts)];
                if (others is not null)
                {
                    rounds.Add(new Round(others, [strangers!], own, _options, _outages, _folder));
                }

                await RunLanesAsync(rounds, faults);
                await (programs?.EndAsync(Violate) ?? Task.CompletedTask);
                _hostile = await (hostile?.EndAsync(Violate) ?? Task.FromResult(""));
                _programs = programs;
                await Leftovers.FindAsync(database, grains, _options.Lease, Violate);
            }
            finally
            {
                // Stops supervising before the cluster is taken down, so that its silos are not restarted.
                await over.CancelAsync();
                await EndedAsync(supervising);
            }

            await ReadSilosAsync(cluster);
            foreach (var outage in _outages.Unexplained)
            {
                Violate(outage);
            }

            return Report(faults);
        }
        finally
        {
            foreach (var client in clients)
            {
                await client.DisposeAsync();
            }
        }
    }

    private async Task<SiloCluster?> StartOtherAsync(string database)
        => _options.OtherCluster
            ? await SiloCluster.Create(OtherCluster, database, ["iommufd-silo.dll"], static _ => [], $"--Contexts:Lease={_options.Lease.ToString("c", CultureInfo.InvariantCulture)}", "--Silo:Secret=required").StartAsync(1)
            : null;

    // Silos and clients all know one secret: unless a hostile client guesses, a silo that finds another one wrong has a secret of its own.
    private async Task ReadSilosAsync(SiloCluster cluster)
    {
        var watch = new HandleWatch();
        foreach (var (silo, life) in cluster.Silos.Select((silo, life) => (silo, life)))
        {
            await File.WriteAllTextAsync(Path.Combine(_folder, $"silo-{silo.SiloPort}-{life}.log"), silo.Process.Output);
            watch.ReadOutput(silo.Process.Output);
            if (!_options.Hostile && silo.Process.Output.Contains("wrong secret", StringComparison.Ordinal))
            {
                Violate($"the silo at port {silo.SiloPort} refused a peer of its own cluster:\n{silo.Process.Output}");
            }
        }

        foreach (var leak in watch.Leaks)
        {
            Violate($"a silo printed a whole handle: {leak}");
        }
    }

    private ChaosReport Report(FaultInjector faults)
    {
        // The histories and what the silos printed are kept if there are violations to look into.
        if (_violations.IsEmpty && !_options.Keep)
        {
            Directory.Delete(_folder, recursive: true);
        }

        return new ChaosReport
        {
            Elapsed = Stopwatch.GetElapsedTime(_faults.Start),
            Tally = _tally,
            Judged = _judged,
            ProgramRounds = _programs?.Rounds ?? 0,
            ProgramLongest = _programs?.Longest ?? 0,
            Outages = _outages,
            Hostile = _hostile,
            Faults = Enum.GetValues<FaultKind>().ToDictionary(kind => kind, faults.Count),
            Violations = [.. _violations],
        };
    }

    private async Task RunLanesAsync(List<Round> rounds, FaultInjector faults)
    {
        using var stop = new CancellationTokenSource(_options.Duration);
        var injecting = faults.RunAsync(stop.Token);
        try
        {
            await Task.WhenAll(rounds.Select(round => RunLaneAsync(round, stop.Token)));
        }
        finally
        {
            await stop.CancelAsync();
            await injecting;
        }
    }

    // The latest that listened on the port. What can't be asked now leaves it open.
    private static async Task<bool> IsDeadAsync(IGrainFactory grains, int port)
    {
        try
        {
            return (await grains.GetGrain<IManagementGrain>(0).GetHosts()).Where(host => host.Key.Endpoint.Port == port).MaxBy(host => host.Key.Generation).Value == SiloStatus.Dead;
        }
        catch (Exception exception) when (exception is OrleansException or TimeoutException)
        {
            return false;
        }
    }

    private static async Task EndedAsync(Task cancelled)
    {
        try
        {
            await cancelled;
        }
        catch (OperationCanceledException)
        {
            // It was cancelled.
        }
    }

    private async Task RunLaneAsync(Round round, CancellationToken stop)
    {
        while (!stop.IsCancellationRequested)
        {
            var number = Interlocked.Increment(ref _rounds);
            try
            {
                var outcome = await round.RunAsync(number).WaitAsync(_options.Patience, CancellationToken.None);
                foreach (var violation in outcome.Violations)
                {
                    Violate($"context {number}: {violation}");
                }

                lock (_tallying)
                {
                    _tally += outcome.Tally;
                    _judged += outcome.IsJudged ? 1 : 0;
                }
            }
            catch (TimeoutException)
            {
                Violate($"context {number}: its round did not end within {_options.Patience}");
            }
            catch (IommufdException exception)
            {
                Violate($"context {number}: its opener got {exception.Message}");
            }
            catch (IommufdTransportException exception)
            {
                // The SDK gave up opening or closing: no violation, since the caller was told.
                Log($"context {number} was given up: {exception.Message}");
            }
        }
    }

    private void Violate(string what)
    {
        _violations.Enqueue(what);
        Log($"VIOLATION: {what}");
    }

    private void Log(string what) => _log(string.Create(CultureInfo.InvariantCulture, $"{Stopwatch.GetElapsedTime(_faults.Start).TotalSeconds,7:F1}  {what}"));
}
