using IommuFd.Chaos.Outages;

namespace IommuFd.Chaos.Faults;

// By default at most two of three silos are down at once, so that one is always up; chance decides whether the other two are down together or
// one after the other. Killed processes are restarted. A silo that was paused for longer than the others tolerate finds itself declared dead, exits, and
// is restarted too.

/// <summary>Kills, pauses and stops silos, and kills clients, in a random sequence of faults.</summary>
/// <param name="silos">The silos.</param>
/// <param name="clients">The client processes.</param>
/// <param name="database">The database; null where it is not this run's to break.</param>
/// <param name="seed">The seed of the sequence.</param>
/// <param name="kinds">The faults to inject; one listed twice is injected twice as often.</param>
/// <param name="mostAway">How many silos are away at once, at most.</param>
/// <param name="faults">Where it is noted which silos are away.</param>
/// <param name="isDead">Whether the others have declared the silo of a port dead.</param>
/// <param name="log">Called with each fault.</param>
internal sealed class FaultInjector(IReadOnlyList<SiloSlot> silos, IReadOnlyList<ClientSlot> clients, ChaosDatabase? database, int seed, IReadOnlyList<FaultKind> kinds, int mostAway, FaultLog faults, Func<int, Task<bool>> isDead, Action<string> log) : IDisposable
{
    /// <summary>The faults of a normal run.</summary>
    public static readonly FaultKind[] Usual =
    [
        .. Enumerable.Repeat(FaultKind.KillSilo, 4),
        .. Enumerable.Repeat(FaultKind.PauseSilo, 4),
        .. Enumerable.Repeat(FaultKind.StopSilo, 2),
        FaultKind.KillClient,
        FaultKind.RestartDatabase,
        FaultKind.FillDisk,
    ];

    private readonly FaultKind[] _ofSilos = [.. kinds.Where(kind => kind is FaultKind.KillSilo or FaultKind.PauseSilo or FaultKind.StopSilo)];
    private readonly FaultKind[] _ofDatabase = [.. kinds.Where(kind => kind is FaultKind.RestartDatabase or FaultKind.FillDisk)];
    private readonly int[] _counts = new int[Enum.GetValues<FaultKind>().Length];
    private readonly SemaphoreSlim _mayBeAway = new(mostAway);
    private readonly bool[] _isAway = new bool[silos.Count];

    /// <summary>How many faults of a kind were injected.</summary>
    public int Count(FaultKind kind) => Volatile.Read(ref _counts[(int)kind]);

    /// <summary>Injects faults until told to stop; when it returns, nothing is paused or down.</summary>
    public Task RunAsync(CancellationToken stop) => Task.WhenAll(
        RepeatAsync(_ofSilos.Length > 0, new Random(seed), TimeSpan.FromSeconds(1), TimeSpan.FromSeconds(5), HurtSiloAsync, stop),
        RepeatAsync(_ofSilos.Length > 0, new Random(seed + 1), TimeSpan.FromSeconds(5), TimeSpan.FromSeconds(20), HurtSiloAsync, stop),
        RepeatAsync(kinds.Contains(FaultKind.KillClient), new Random(seed + 2), TimeSpan.FromSeconds(5), TimeSpan.FromSeconds(20), KillClientAsync, stop),
        RepeatAsync(database is not null && _ofDatabase.Length > 0, new Random(seed + 3), TimeSpan.FromSeconds(15), TimeSpan.FromSeconds(45), HurtDatabaseAsync, stop));

    public void Dispose() => _mayBeAway.Dispose();

    private static async Task RepeatAsync(bool isWanted, Random random, TimeSpan shortest, TimeSpan longest, Func<Random, CancellationToken, Task> inject, CancellationToken stop)
    {
        try
        {
            while (isWanted)
            {
                await Task.Delay(Between(random, shortest, longest), stop);
                await inject(random, stop);
            }
        }
        catch (OperationCanceledException) when (stop.IsCancellationRequested)
        {
            // The fault under way has been undone.
        }
    }

    private static TimeSpan Between(Random random, TimeSpan shortest, TimeSpan longest) => shortest + (random.NextDouble() * (longest - shortest));

    private async Task HurtSiloAsync(Random random, CancellationToken stop)
    {
        await _mayBeAway.WaitAsync(stop);
        var index = TakeOne(random);
        try
        {
            await (_ofSilos[random.Next(_ofSilos.Length)] switch
            {
                FaultKind.KillSilo => EndAsync(index, FaultKind.KillSilo, "KILL"),
                FaultKind.PauseSilo => PauseAsync(index, Between(random, TimeSpan.FromSeconds(0.2), TimeSpan.FromSeconds(10)), stop),
                _ => EndAsync(index, FaultKind.StopSilo, "TERM"),
            });
        }
        finally
        {
            lock (_isAway)
            {
                _isAway[index] = false;
            }

            _mayBeAway.Release();
        }
    }

    private int TakeOne(Random random)
    {
        lock (_isAway)
        {
            var here = Enumerable.Range(0, silos.Count).Where(index => !_isAway[index]).ToList();
            var index = here[random.Next(here.Count)];
            _isAway[index] = true;
            return index;
        }
    }

    private async Task EndAsync(int index, FaultKind kind, string signal)
    {
        var silo = silos[index];
        var back = silo.NextLife;
        if (silo.Current.Process.HasExited)
        {
            await back;
            return;
        }

        Note(kind, $"silo {index + 1} gets SIG{signal}");
        using var away = faults.Begin(Part.Silo, silo.Number, $"silo {silo.Number} got SIG{signal}");
        await silo.Current.Process.SignalAsync(signal);
        await back;
    }

    private async Task PauseAsync(int index, TimeSpan length, CancellationToken stop)
    {
        var process = silos[index].Current.Process;
        if (process.HasExited)
        {
            return;
        }

        var back = silos[index].NextLife;
        Note(FaultKind.PauseSilo, $"silo {index + 1} is paused for {length.TotalSeconds:F1} s");
        using var away = faults.Begin(Part.Silo, index + 1, $"silo {index + 1} was paused for {length.TotalSeconds:F1} s");
        await process.SignalAsync("STOP");
        try
        {
            await Task.Delay(length, stop);
        }
        finally
        {
            await process.SignalAsync("CONT");
        }

        if (await isDead(silos[index].Current.SiloPort))
        {
            await back;
        }
    }

    private async Task KillClientAsync(Random random, CancellationToken stop)
    {
        var index = random.Next(clients.Count);
        Note(FaultKind.KillClient, $"client process {index + 1} gets SIGKILL");
        await clients[index].KillAsync().WaitAsync(stop);
    }

    // What it does to the database is undone before the run goes on to its end.
    private async Task HurtDatabaseAsync(Random random, CancellationToken stop)
    {
        var kind = _ofDatabase[random.Next(_ofDatabase.Length)];
        var length = Between(random, TimeSpan.FromSeconds(0.2), TimeSpan.FromSeconds(5));
        var what = kind == FaultKind.RestartDatabase ? $"the database was down for {length.TotalSeconds:F1} s" : $"the database's disk was full for {length.TotalSeconds:F1} s";
        Note(kind, what);
        using var away = faults.Begin(Part.Database, 1, what);
        await (kind == FaultKind.RestartDatabase ? database!.RestartAsync(length) : database!.FillDiskAsync(length));
    }

    private void Note(FaultKind kind, string what)
    {
        Interlocked.Increment(ref _counts[(int)kind]);
        log(what);
    }
}
