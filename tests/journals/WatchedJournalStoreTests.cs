using IommuFd.GrainInterfaces;
using IommuFd.Grains.Journaling;
using IommuFd.Silo.Journals;
using IommuFd.TestSupport;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Time.Testing;

namespace IommuFd.JournalTests;

/// <summary>An outage of a store is logged when it begins, once a minute while it lasts, and when it is over.</summary>
public sealed class WatchedJournalStoreTests : IAsyncLifetime, IAsyncDisposable
{
    private const int Begins = 2014, Lasts = 2015, Ends = 2016;

    private readonly SqliteJournalPlace _place = new();
    private readonly ContextKey _key = ContextHandle.NewRandom().Key;
    private readonly FakeTimeProvider _time = new();
    private readonly Events _log = new();
    private CountingJournalStore _store = null!;
    private WatchedJournalStore _watched = null!;
    private long _position;

    public async Task InitializeAsync()
    {
        _store = new CountingJournalStore(await _place.OpenInitializedStoreAsync());
        _watched = new WatchedJournalStore(_store, _log, _time);
        await _watched.CreateAsync(_key, "silo", default);
    }

    public async Task DisposeAsync()
    {
        await _watched.DisposeAsync();
        await _place.DisposeAsync();
    }

    async ValueTask IAsyncDisposable.DisposeAsync() => await DisposeAsync();

    [Fact]
    public async Task It_is_said_at_its_begin_once_a_minute_and_at_its_end()
    {
        FailWrites();
        for (var second = 0; second < 150; second++)
        {
            await Assert.ThrowsAsync<JournalStoreException>(WriteAsync);
            _time.Advance(TimeSpan.FromSeconds(1));
        }

        Assert.Equal([Begins, Lasts, Lasts], _log.Ids);
        _store.BeforeCommit = null;
        await WriteAsync();
        await WriteAsync();
        Assert.Equal([Begins, Lasts, Lasts, Ends], _log.Ids);
    }

    [Fact]
    public async Task What_only_reads_or_finds_nothing_to_write_does_not_end_an_outage_of_writes()
    {
        FailWrites();
        await Assert.ThrowsAsync<JournalStoreException>(WriteAsync);

        await _watched.CommitAsync([new ConfirmEpoch(_key, 1)], default);
        await _watched.ReadAsync(_key, 0, 1, default);
        await _watched.ListAsync(null, 1, default);
        await _watched.PurgeAsync(TimeSpan.Zero, default);
        Assert.Null(await _watched.AcquireAsync(ContextHandle.NewRandom().Key, "silo", default));
        Assert.Null(await _watched.CreateAsync(_key, "silo", default));
        Assert.Equal([JournalOutcome.Fenced], await _watched.CommitAsync([new AppendRecord(ContextHandle.NewRandom().Key, 1, 1, [1])], default));
        Assert.Equal([Begins], _log.Ids);

        Assert.NotNull(await _watched.AcquireAsync(_key, "silo", default));
        Assert.Equal([Begins, Ends], _log.Ids);
    }

    [Fact]
    public async Task What_reads_ends_an_outage_of_reads()
    {
        _store.BeforeCommit = _ => throw new JournalStoreException("It can't be reached.");
        await Assert.ThrowsAsync<JournalStoreException>(() => _watched.CommitAsync([new ConfirmEpoch(_key, 1)], default));

        await _watched.ReadAsync(_key, 0, 1, default);

        Assert.Equal([Begins, Ends], _log.Ids);
    }

    [Fact]
    public async Task A_probe_fails_without_a_try_for_some_seconds_after_a_context_s_write_has_failed()
    {
        FailWrites();
        await Assert.ThrowsAsync<JournalStoreException>(WriteAsync);
        Assert.Equal("The disk is full.", (await Assert.ThrowsAsync<JournalStoreException>(() => _watched.ProbeAsync(default))).Message);
        Assert.Equal((0, "The disk is full."), (_store.Probes, _watched.Problem));

        _time.Advance(TimeSpan.FromSeconds(5));
        await _watched.ProbeAsync(default);
        Assert.Equal((1, null), (_store.Probes, _watched.Problem));
        Assert.Equal([Begins, Ends], _log.Ids);
    }

    [Fact]
    public async Task A_probe_that_fails_is_an_outage_and_the_next_one_is_tried()
    {
        _store.BeforeProbe = () => throw new JournalStoreException("It can't be reached.");
        await Assert.ThrowsAsync<JournalStoreException>(() => _watched.ProbeAsync(default));
        Assert.Equal("It can't be reached.", _watched.Problem);

        _store.BeforeProbe = null;
        await _watched.ProbeAsync(default);
        Assert.Null(_watched.Problem);
        Assert.Equal([Begins, Ends], _log.Ids);
    }

    private void FailWrites()
        => _store.BeforeCommit = writes => writes.Any(write => write.Key == _key && write is AppendRecord) ? throw new JournalStoreException("The disk is full.") : Task.CompletedTask;

    private async Task WriteAsync()
        => Assert.Equal([JournalOutcome.Committed], await _watched.CommitAsync([new AppendRecord(_key, 1, ++_position, [1])], default));

    private sealed class Events : ILogger<WatchedJournalStore>
    {
        public List<int> Ids { get; } = [];

        public IDisposable? BeginScope<TState>(TState state)
            where TState : notnull => null;

        public bool IsEnabled(LogLevel logLevel) => true;

        public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter) => Ids.Add(eventId.Id);
    }
}
