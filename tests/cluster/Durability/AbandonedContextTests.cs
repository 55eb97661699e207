using IommuFd.Client;
using IommuFd.GrainInterfaces;
using IommuFd.Grains.Configuration;
using IommuFd.Grains.Journaling;
using IommuFd.Silo.Journals;
using IommuFd.Uapi;
using Microsoft.Extensions.DependencyInjection;

namespace IommuFd.ClusterTests.Durability;

/// <summary>A context whose activation could not commit, and whose opener is gone, is not left in the journal for ever.</summary>
public sealed class AbandonedContextTests : IAsyncLifetime
{
    private readonly SqliteJournalPlace _place = JournalSilo.NewPlace();
    private FailingJournal _journal = null!;

    public Task InitializeAsync() => Task.CompletedTask;

    public async Task DisposeAsync() => await _place.DisposeAsync();

    [Fact]
    public async Task Its_silo_recovers_it_so_that_its_leases_end()
    {
        await using var silo = await JournalSilo.StartAsync(
            _place.Settings.Path!,
            new ContextOptions { DefaultMode = ContextMode.Durable, Lease = TimeSpan.FromSeconds(1) },
            builder => builder.Services.AddSingleton<IJournal>(services => _journal = new FailingJournal(services.GetRequiredService<GroupCommitJournal>())));
        var handle = ContextHandle.NewRandom();
        var context = silo.Context(handle);
        await context.OpenAsync(new OpenRequest(ContextMode.Durable, "opener", Session: 7));
        _journal.Fails = true;
        await Assert.ThrowsAsync<ContextUnavailableException>(() => context.IoctlAsync(Requests.Alloc(), new OperationId(7, 1, 0, false)).AsTask());

        // The opener is gone, and the store does not work again at once.
        await Eventually.TrueAsync(() => Task.FromResult(_journal.Failures > 1), "the silo tries to recover the context while the store fails");
        Assert.Single(await silo.Store.ListAsync(null, 10, default));
        _journal.Fails = false;
        await Eventually.TrueAsync(async () => (await silo.Store.ListAsync(null, 10, default)).Count == 0, "the context is recovered, its lease ends, and its journal is gone");
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task One_that_could_not_be_opened_waits_for_its_opener_for_the_time_of_a_lease(bool asksAgain)
    {
        var lease = asksAgain ? TimeSpan.FromHours(1) : TimeSpan.FromSeconds(1);
        await using var silo = await JournalSilo.StartAsync(
            _place.Settings.Path!,
            new ContextOptions { DefaultMode = ContextMode.Durable, Lease = lease },
            builder => builder.Services.AddSingleton<IJournal>(services => _journal = new FailingJournal(services.GetRequiredService<GroupCommitJournal>())));
        _journal.Fails = true;
        var handle = ContextHandle.NewRandom();
        var context = silo.Context(handle);
        var open = new OpenRequest(ContextMode.Durable, "opener", Session: 7);
        await Assert.ThrowsAsync<ContextUnavailableException>(() => context.OpenAsync(open));
        Assert.Single(await silo.Store.ListAsync(null, 10, default));
        _journal.Fails = false;
        if (asksAgain)
        {
            await silo.Control(handle).SweepAsync();
            Assert.Equal(Errno.None, (await context.OpenAsync(open)).Errno);
            await silo.Control(handle).SweepAsync();
            Assert.Single(await silo.Store.ListAsync(null, 10, default));
        }
        else
        {
            await Eventually.TrueAsync(async () => (await silo.Store.ListAsync(null, 10, default)).Count == 0, "the journal of the context that nobody opened is gone");
        }
    }

    // A file that an ioctl opens has given no sign of life yet when leases are looked at.
    [Fact]
    public async Task A_sweep_does_not_end_the_lease_of_a_file_that_was_just_opened()
    {
        await using var silo = await JournalSilo.StartAsync(_place.Settings.Path!, new ContextOptions { DefaultMode = ContextMode.Durable });
        await using var context = await new IommufdClient(silo.Grains).OpenAsync();
        await using var queue = await context.AllocateFaultQueueAsync();
        await silo.Control(context.Handle).SweepAsync();

        Assert.Equal(2, (await context.InspectAsync()).References.Length);
    }

    private sealed class FailingJournal(IJournal journal) : IJournal
    {
        private int _failures;

        public bool Fails { get; set; }

        public int Failures => Volatile.Read(ref _failures);

        public IJournalStore Store => journal.Store;

        public string Owner => journal.Owner;

        public ValueTask<JournalOutcome> WriteAsync(JournalWrite write)
        {
            if (!Fails)
            {
                return journal.WriteAsync(write);
            }

            Interlocked.Increment(ref _failures);
            return ValueTask.FromException<JournalOutcome>(new JournalStoreException("The test has the store fail."));
        }
    }
}
