using IommuFd.Chaos.Clients;
using IommuFd.Chaos.Faults;
using IommuFd.Chaos.Run;
using IommuFd.Client;
using IommuFd.Grains.Journaling;
using IommuFd.Linearizability;
using IommuFd.Silo.Journals;
using Microsoft.Extensions.DependencyInjection;
using Xunit.Abstractions;

namespace IommuFd.ClusterTests.Durability;

/// <summary>What clients see of a context, whatever becomes of its silos, could have come from one that does one ioctl after the other.</summary>
[Collection(PostgresCollection.Name)]
public sealed class LinearizabilityTests(PostgresServer postgres, ITestOutputHelper output)
{
    private const int Ioctls = 40;

    [Fact]
    public async Task Two_activations_at_once_answer_as_one()
    {
        var result = await RunOnTwoClustersAsync(configure: null);

        Assert.True(result.Verdict == Verdict.Linearizable, LinearizabilityReport.Write(result));
        Assert.True(result.Operations.All > Ioctls, $"only {result.Operations.All} operations");
    }

    // The test of the test: were stale activations not fenced, this would be seen.
    [Fact]
    public async Task An_activation_that_answers_although_another_has_followed_is_caught()
    {
        var result = await RunOnTwoClustersAsync(
            silo => silo.Services.AddSingleton<IJournal>(services => new UnfencedJournal(services.GetRequiredService<GroupCommitJournal>())));

        output.WriteLine(LinearizabilityReport.Write(result));
        Assert.Equal(Verdict.Violation, result.Verdict);
    }

    // 'make chaos' is the same for as long as one likes.
    [Fact]
    public async Task A_cluster_whose_silos_are_killed_and_paused_loses_nothing_and_does_nothing_twice()
    {
        var report = await ChaosRun.RunAsync(
            new ChaosOptions
            {
                Duration = TimeSpan.FromSeconds(15),
                Seed = Seed.Of(output),
                Lease = TimeSpan.FromSeconds(10),
                ClientProcesses = 2,
                Contexts = 3,
                Ioctls = 100,
                Database = await postgres.CreateDatabaseAsync(),
            },
            output.WriteLine);

        output.WriteLine($"{report}");
        Assert.True(report.Violations.Count == 0, string.Join('\n', report.Violations));
        Assert.True(report.Judged > 0 && report.Tally.Acknowledged > 0, "nothing was judged");
    }

    // Two clusters that know nothing of each other, on one journal, with a client each: both are clients of the same context.
    private static async Task<LinearizabilityResult> RunOnTwoClustersAsync(Action<ISiloBuilder>? configure)
    {
        var folder = Directory.CreateTempSubdirectory("iommufd-linearizability-").FullName;
        try
        {
            var historyPath = Path.Combine(folder, "history.jsonl");
            var journalPath = Path.Combine(folder, "journal.db");
            await using var one = await JournalSilo.StartAsync(journalPath, configure: configure);
            await using var other = await JournalSilo.StartAsync(journalPath, configure: configure);
            using (var history = new HistoryWriter(historyPath))
            {
                var context = await new IommufdClient(one.Grains).OpenAsync("first");
                var second = await new IommufdClient(other.Grains).DuplicateAsync(context.Handle, "second");
                await Task.WhenAll(WorkAsync(context, 1, history), WorkAsync(second, 2, history));
            }

            return new LinearizabilityChecker<ContextState>(new ContextSpecification()).Check(History.Read([historyPath]));
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    private static async Task WorkAsync(IommuContext context, int client, HistoryWriter history)
    {
        var worker = new Worker(context, client, history, static _ => { });
        var mix = new IoctlMix(client, Worker.MemoryAddress, Worker.MemoryPages);
        for (var i = 0; i < Ioctls; i++)
        {
            await worker.IssueAsync(mix);
        }
    }
}
