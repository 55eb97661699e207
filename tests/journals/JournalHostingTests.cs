using System.ComponentModel.DataAnnotations;
using IommuFd.GrainInterfaces;
using IommuFd.Grains.Journaling;
using IommuFd.Silo;
using IommuFd.Silo.Journals;
using IommuFd.TestSupport;
using Microsoft.Extensions.DependencyInjection;

namespace IommuFd.JournalTests;

/// <summary>The journal as a service of a silo.</summary>
public sealed class JournalHostingTests
{
    [Fact]
    public async Task The_store_is_ready_before_the_silo_is_and_the_journal_closed_when_it_stopped()
    {
        await using var place = new SqliteJournalPlace();
        var key = ContextHandle.NewRandom().Key;
        IJournal? journal = null;
        JournalOutcome? atStart = null;
        Task<JournalOutcome>? atStop = null;
        using var host = await SiloHost.StartInProcessAsync(orleans => orleans
            .AddJournal(place.Settings)
            .AddStartupTask(async (services, cancellationToken) =>
            {
                journal = services.GetRequiredService<IJournal>();
                await journal.Store.CreateAsync(key, journal.Owner, cancellationToken);
                atStart = await journal.WriteAsync(new AppendRecord(key, 1, 1, [1]));
            })
            .ConfigureServices(services => services.AddSingleton<ILifecycleParticipant<ISiloLifecycle>>(_ => new AtStop(() =>
                atStop = journal!.WriteAsync(new AppendRecord(key, 1, 2, [2])).AsTask()))));
        Assert.Equal(JournalOutcome.Committed, atStart);
        Assert.Equal(host.Services.GetRequiredService<ILocalSiloDetails>().SiloAddress.ToParsableString(), journal!.Owner);
        Assert.Same(journal.Store, host.Services.GetRequiredService<IJournalStore>());

        await host.StopAsync();

        Assert.Equal(JournalOutcome.Committed, await atStop!);
        await Assert.ThrowsAsync<JournalStoreException>(() => journal.WriteAsync(new ConfirmEpoch(key, 1)).AsTask());
        await using var later = await place.OpenInitializedStoreAsync();
        Assert.Equal([1, 2], (await later.ReadAsync(key, 0, int.MaxValue, default)).Select(entry => entry.Position));
    }

    [Fact]
    public async Task A_silo_whose_store_can_not_be_set_up_does_not_start()
    {
        await using var place = new SqliteJournalPlace();
        await (await place.OpenInitializedStoreAsync()).DisposeAsync();
        await place.ExecuteAsync("UPDATE journal_schema SET version = 1000");

        var exception = await Assert.ThrowsAnyAsync<Exception>(() => SiloHost.StartInProcessAsync(orleans => orleans.AddJournal(place.Settings)));

        Assert.Contains("tables of version 1000", exception.ToString(), StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_silo_without_a_store_has_no_journal()
    {
        using var host = await SiloHost.StartInProcessAsync(orleans => orleans.AddJournal(new JournalSettings()));

        Assert.Null(host.Services.GetService<IJournal>());
        await host.StopAsync();
    }

    [Fact]
    public async Task Settings_that_make_no_sense_are_found_before_the_silo_starts()
        => await Assert.ThrowsAsync<ValidationException>(() => SiloHost.StartInProcessAsync(orleans => orleans.AddJournal(new JournalSettings { Store = JournalStoreKind.Postgres })));

    private sealed class AtStop(Action stop) : ILifecycleParticipant<ISiloLifecycle>
    {
        public void Participate(ISiloLifecycle lifecycle)
            => lifecycle.Subscribe(nameof(AtStop), ServiceLifecycleStage.RuntimeGrainServices, _ => Task.CompletedTask, _ =>
            {
                stop();
                return Task.CompletedTask;
            });
    }
}
