using System.Runtime.Versioning;
using IommuFd.Client;
using IommuFd.GrainInterfaces;
using IommuFd.Grains.Configuration;
using IommuFd.Silo;
using IommuFd.Silo.Journals;
using IommuFd.Uapi;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;

namespace IommuFd.ClusterTests.Durability;

/// <summary>Silos that do not know each other, on one store, take nothing from each other; and what was taken all the same is not shown as if it were here.</summary>
public sealed class TwoClustersTests : IAsyncLifetime
{
    private const long Session = 42;

    private static readonly ContextOptions Leased = new() { DefaultMode = ContextMode.Durable, Lease = TimeSpan.FromHours(1) };

    private readonly SqliteJournalPlace _place = JournalSilo.NewPlace();
    private readonly ContextHandle _handle = ContextHandle.NewRandom();

    private string Path => _place.Settings.Path!;

    public Task InitializeAsync() => Task.CompletedTask;

    public async Task DisposeAsync() => await _place.DisposeAsync();

    [Fact]
    public async Task A_context_stays_with_its_cluster()
    {
        await using var owner = await JournalSilo.StartAsync(Path, Leased, cluster: "one");
        await using var other = await JournalSilo.StartAsync(Path, Leased, cluster: "one/two");
        var context = owner.Context(_handle);
        var opened = await context.OpenAsync(new OpenRequest(ContextMode.Durable, "opener", Session));

        var refused = await other.Context(_handle).IoctlAsync(Requests.Alloc(), new OperationId(Session, 1, 0, false));
        Assert.Equal((Errno.EBADF, DiagnosticReason.OwnedByOtherCluster), (refused.Errno, refused.Diagnostic!.Reason));
        Assert.Equal(DiagnosticReason.OwnedByOtherCluster, (await other.Context(_handle).OpenAsync(new OpenRequest(ContextMode.Durable, "thief", Session + 1))).Diagnostic!.Reason);
        Assert.Equal(0, await SweeperOf(other).SweepAsync(default));

        Assert.Equal(Errno.None, (await context.IoctlAsync(Requests.Alloc(), new OperationId(Session, 1, 0, false))).Errno);
        Assert.Empty((await context.RenewAsync([opened.Reference])).Gone);
    }

    [Fact]
    public async Task A_context_whose_silo_is_gone_is_found_by_the_sweeper_of_its_own_cluster_only()
    {
        await using (var owner = await JournalSilo.StartAsync(Path, Leased, cluster: "one"))
        {
            await owner.Context(_handle).OpenAsync(new OpenRequest(ContextMode.Durable, "opener", Session));
        }

        await using var other = await JournalSilo.StartAsync(Path, Leased, cluster: "two");
        Assert.Equal(0, await SweeperOf(other).SweepAsync(default));
        await using var successor = await JournalSilo.StartAsync(Path, Leased, cluster: "one");
        Assert.Equal(1, await SweeperOf(successor).SweepAsync(default));
    }

    [Fact]
    public async Task A_silo_without_a_cluster_is_refused_a_file_that_another_silo_has_by_that_silos_name()
    {
        var settings = new JournalSettings { Store = JournalStoreKind.Sqlite, Path = Path };
        using (var first = await SiloHost.StartInProcessAsync(contexts: Leased, journal: settings))
        {
            var refused = await Assert.ThrowsAnyAsync<Exception>(() => SiloHost.StartInProcessAsync(contexts: Leased, journal: new JournalSettings { Store = JournalStoreKind.Sqlite, Path = Path }));
            Assert.Contains($"is in use by the silo {first.Services.GetRequiredService<ILocalSiloDetails>().SiloAddress.Endpoint}", refused.ToString(), StringComparison.Ordinal);
            await first.StopAsync();
        }

        using var next = await SiloHost.StartInProcessAsync(contexts: Leased, journal: new JournalSettings { Store = JournalStoreKind.Sqlite, Path = Path });
        await next.StopAsync();
    }

    [Fact]
    [SupportedOSPlatform("linux")]
    public async Task A_claimed_file_and_its_folder_are_made_where_they_are_missing_for_this_user_alone()
    {
        var path = System.IO.Path.Combine(System.IO.Path.GetDirectoryName(Path)!, "new", "journal.db");
        using var silo = await SiloHost.StartInProcessAsync(contexts: Leased, journal: new JournalSettings { Store = JournalStoreKind.Sqlite, Path = path });
        foreach (var file in (string[])[path, $"{path}-lock", $"{path}-owner"])
        {
            Assert.Equal((file, UnixFileMode.UserRead | UnixFileMode.UserWrite), (file, File.GetUnixFileMode(file)));
        }

        await silo.StopAsync();
    }

    [Fact]
    public async Task An_activation_that_has_lost_its_journal_answers_nothing_at_all()
    {
        await using var silo = await JournalSilo.StartAsync(Path, Leased);
        foreach (var (what, ask) in Reads())
        {
            var handle = ContextHandle.NewRandom();
            var context = silo.Context(handle);
            var opened = await context.OpenAsync(new OpenRequest(ContextMode.Durable, "opener", Session));
            await silo.StealAsync(handle);

            var exception = await Record.ExceptionAsync(() => ask(context, opened.Reference));
            Assert.True(exception is ContextUnavailableException, $"{what} by an activation that has lost its journal: {exception?.ToString() ?? "an answer"}");
        }
    }

    private static IEnumerable<(string What, Func<ContextCalls, ReferenceId, Task> Ask)> Reads() =>
    [
        ("a renewal", (context, reference) => context.RenewAsync([reference])),
        ("an inspection", (context, _) => context.InspectAsync(new InspectRequest(default, 1, false), default)),
        ("an inspection of an object", (context, _) => context.InspectObjectAsync(new ObjectId(1), new StatePage(0, 1))),
        ("a graph", (context, _) => context.InspectGraphAsync(new GraphRequest(default, GraphDirection.Both, 1))),
        ("why an object is busy", (context, _) => context.ExplainBusyAsync(new ObjectId(1))),
        ("a tail", (context, _) => context.TailAsync(new TailRequest(0, 0, 1))),
    ];

    private static OrphanSweeper SweeperOf(JournalSilo silo) => silo.Services.GetServices<IHostedService>().OfType<OrphanSweeper>().Single();
}
