using System.Diagnostics;
using IommuFd.Client;
using IommuFd.GrainInterfaces;
using IommuFd.Uapi;
using Xunit.Abstractions;

namespace IommuFd.ClusterTests.Durability;

/// <summary>Three silo processes; one is killed, or stopped. How long do its contexts not answer?</summary>
[Collection(PostgresCollection.Name)]
public sealed class FailoverTests(PostgresServer postgres, ITestOutputHelper output) : IAsyncLifetime
{
    private const int Contexts = 60;

    // What is promised is 5 s. The machine that runs the tests may do much else meanwhile, and be slow.
    private static readonly TimeSpan LongestOutage = TimeSpan.FromSeconds(20);

    private readonly List<Caller> _callers = [];
    private SiloCluster _cluster = null!;

    public async Task InitializeAsync() => _cluster = await SiloCluster.StartAsync(await postgres.CreateDatabaseAsync(), silos: 3);

    public async Task DisposeAsync() => await _cluster.DisposeAsync();

    [Theory]
    [InlineData("KILL")]
    [InlineData("TERM")]
    public async Task Contexts_of_a_silo_that_is_gone_answer_elsewhere_within_seconds_and_the_others_all_the_time(string signal)
    {
        await OpenContextsAsync();
        using var stop = new CancellationTokenSource();
        var calling = _callers.Select(caller => Task.Run(() => caller.CallAsync(stop.Token))).ToArray();
        await Eventually.TrueAsync(() => Task.FromResult(_callers.All(caller => caller.Answers > 20)), "every context answers");

        var leaving = _cluster.Silos.MaxBy(silo => _callers.Count(caller => caller.SiloPort == silo.SiloPort))!;
        _callers.ForEach(caller => caller.Measure());
        await leaving.Process.SignalAsync(signal);
        await Eventually.TrueAsync(() => Task.FromResult(_callers.All(caller => caller.Answers > 40)), "every context answers again");
        await stop.CancelAsync();
        await Task.WhenAll(calling).WaitAsync(Eventually.Limit);

        var moved = _callers.Where(caller => caller.SiloPort == leaving.SiloPort).ToList();
        var others = _callers.Except(moved).ToList();
        output.WriteLine(
            $"{signal}: the longest time without an answer was {Longest(moved).TotalSeconds:F2} s for the {moved.Count} contexts of the silo, and {Longest(others).TotalSeconds:F2} s for the {others.Count} others");
        Assert.NotEmpty(moved);
        Assert.True(Longest(_callers) < LongestOutage, $"an outage of {Longest(_callers)}");
        Assert.All(_callers, caller => Assert.Equal(Errno.None, caller.WorstErrno));
    }

    private static TimeSpan Longest(IEnumerable<Caller> callers) => callers.Max(caller => caller.LongestOutage);

    private async Task OpenContextsAsync()
    {
        var grains = await _cluster.ConnectAsync();
        var client = new IommufdClient(grains);
        var management = grains.GetGrain<IManagementGrain>(0);
        for (var i = 0; i < Contexts; i++)
        {
            var context = await client.OpenAsync($"caller {i}");
            var ioas = await context.AllocateIoasAsync();
            var silo = await management.GetActivationAddress(grains.GetGrain<IContextGrain>(context.Handle.Key.Value));
            _callers.Add(new Caller(context, ioas, silo!.Endpoint.Port));
        }
    }

    /// <summary>Calls one context again and again, and keeps the longest time between two answers. That nothing answers is no answer.</summary>
    private sealed class Caller(IommuContext context, ObjectId ioas, int siloPort)
    {
        // How exactly an outage is measured.
        private static readonly TimeSpan Pace = TimeSpan.FromMilliseconds(50);

        private long _lastAnswer = Stopwatch.GetTimestamp();
        private int _answers;
        private volatile bool _measures;

        public int SiloPort => siloPort;

        public int Answers => Volatile.Read(ref _answers);

        public Errno WorstErrno { get; private set; }

        public TimeSpan LongestOutage { get; private set; }

        public void Measure() => _measures = true;

        public async Task CallAsync(CancellationToken stop)
        {
            using var pace = new PeriodicTimer(Pace);
            while (!stop.IsCancellationRequested)
            {
                try
                {
                    await context.GetHugePagesAsync(ioas, CancellationToken.None);
                    NoteAnswer();
                }
                catch (IommufdException exception)
                {
                    WorstErrno = exception.Errno;
                    NoteAnswer();
                }
                catch (IommufdTransportException)
                {
                    // Asked again with the next tick.
                }

                await pace.WaitForNextTickAsync(CancellationToken.None);
            }
        }

        private void NoteAnswer()
        {
            var now = Stopwatch.GetTimestamp();
            var outage = Stopwatch.GetElapsedTime(_lastAnswer, now);
            if (_measures && outage > LongestOutage)
            {
                LongestOutage = outage;
            }

            _lastAnswer = now;
            Interlocked.Increment(ref _answers);
        }
    }
}
