using System.Collections.Concurrent;
using IommuFd.Cli;
using IommuFd.Cli.Conformance;
using IommuFd.Client;
using IommuFd.GrainInterfaces;
using IommuFd.Grains.Configuration;
using IommuFd.Grains.Journaling;
using IommuFd.Silo;
using IommuFd.Silo.Journals;
using IommuFd.TestSupport;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Xunit;
using Xunit.Abstractions;

namespace IommuFd.ConformanceTests;

/// <summary>
/// The traces on durable contexts, also where a context is lost between any two steps: its journal is taken away, as by another activation, so that the one
/// that has it must leave without an answer and the next one is made from what is written.
/// </summary>
public sealed class DurableConformanceTests(ITestOutputHelper output) : IAsyncLifetime
{
    private const int EveryStep = 200;

    private readonly string _folder = Directory.CreateTempSubdirectory("iommufd-conformance").FullName;
    private readonly ConcurrentDictionary<ContextKey, byte> _rebuilt = [];
    private IHost? _host;
    private int _rebuilds;

    public static TheoryData<string, int> Groups => new() { { "core", 17_288 }, { "ioas", 31_000 }, { "dev", 35_132 }, { "nest", 30_992 }, { "queue", 33_889 }, { "sparse", 33_045 }, { "vfio", 31_439 } };

    public Task InitializeAsync() => Task.CompletedTask;

    public async Task DisposeAsync()
    {
        if (_host is not null)
        {
            await _host.StopAsync();
            _host.Dispose();
        }

        Directory.Delete(_folder, recursive: true);
    }

    [Theory]
    [MemberData(nameof(Groups))]
    public async Task Durable_contexts_answer_as_Linux_does(string group, int ioctls)
    {
        var tally = await RunAsync(group, snapshotAfterBytes: 64 * 1024, beforeStep: null);
        ExpectNoMismatch(tally, group);
        Assert.Equal(ioctls, tally.Ioctls);
    }

    [Theory]
    [MemberData(nameof(Groups))]
    public async Task A_context_that_is_made_again_from_its_records_between_any_two_steps_answers_as_Linux_does(string group, int ioctls)
        => await RunRebuiltAsync(group, ioctls, snapshotAfterBytes: int.MaxValue);

    [Theory]
    [MemberData(nameof(Groups))]
    public async Task A_context_that_is_made_again_from_a_snapshot_between_any_two_steps_answers_as_Linux_does(string group, int ioctls)
        => await RunRebuiltAsync(group, ioctls, snapshotAfterBytes: 0);

    private static void ExpectNoMismatch(ConformanceTally tally, string group)
        => Assert.True(tally.MismatchCount == 0, $"{tally.MismatchCount} mismatches in {group}, the first:\n{string.Join('\n', tally.Mismatches)}");

    // Before every step of some sequences, and before some steps of the others.
    private async Task RunRebuiltAsync(string group, int ioctls, int snapshotAfterBytes)
    {
        var seed = Seed.Of(output);
        var randoms = new ConcurrentDictionary<long, Random>();
        var tally = await RunAsync(group, snapshotAfterBytes, async (sequence, _, key) =>
        {
            // Sequences run beside each other, in any order: each has its own choices. They are numbered by their seeds, from 1.
            var random = randoms.GetOrAdd(sequence.Seed, number => new Random(unchecked((seed * 1_009) + (int)number)));
            if (sequence.Seed <= EveryStep || random.Next(20) == 0)
            {
                _rebuilt.TryAdd(key, 0);
                Interlocked.Increment(ref _rebuilds);
                await _host!.Services.GetRequiredService<IJournalStore>().AcquireAsync(key, "thief", CancellationToken.None);
            }
        });

        output.WriteLine($"{tally.Ioctls} ioctls, {_rebuilt.Count} contexts made again {_rebuilds} times, {tally.MismatchCount} mismatches");
        ExpectNoMismatch(tally, group);
        Assert.Equal(ioctls, tally.Ioctls);
        Assert.True(_rebuilds > ioctls / 20, $"enough contexts were made again for the test to mean something: {_rebuilds}");
    }

    private async Task<ConformanceTally> RunAsync(string group, int snapshotAfterBytes, Func<TraceSequence, int, ContextKey, Task>? beforeStep)
    {
        _host = await SiloHost.StartInProcessAsync(
            contexts: new ContextOptions { DefaultMode = ContextMode.Durable, SnapshotAfterBytes = snapshotAfterBytes },
            journal: new JournalSettings { Store = JournalStoreKind.Sqlite, Path = Path.Combine(_folder, "journal.db"), Synchronous = JournalSynchronous.Normal });
        var client = new IommufdClient(
            _host.Services.GetRequiredService<IGrainFactory>(), new IommufdClientOptions { Backoff = TimeSpan.FromMilliseconds(1) });
        return await ConformanceCommand.RunAsync(client, [Path.Combine(AppContext.BaseDirectory, "traces", $"{group}.jsonl.gz")], listed: 3, beforeStep);
    }
}
