using System.Collections.Concurrent;
using IommuFd.Client;
using IommuFd.GrainInterfaces;
using IommuFd.Grains.Configuration;
using IommuFd.Silo;
using IommuFd.Silo.Journals;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;

namespace IommuFd.ClusterTests.Durability;

/// <summary>While the journals' database is down, its cause is what callers read, and what an operator reads once.</summary>
[Collection(PostgresCollection.Name)]
public sealed class StoreOutageTests(PostgresServer server)
{
    private const int Contexts = 3;

    // Orleans' watchdog has waited for the processor.
    private const int SlowMachine = 100150;

    [Fact]
    public async Task An_outage_of_the_database_is_named_to_callers_and_logged_once_with_the_number_of_failures()
    {
        var log = new Recorded();
        using var host = await SiloHost.StartInProcessAsync(
            silo => silo.Services.AddLogging(logging => logging.AddProvider(log).AddFilter<Recorded>("Orleans", LogLevel.Warning).AddFilter<Recorded>("IommuFd", LogLevel.Information)),
            new ContextOptions { DefaultMode = ContextMode.Durable, Lease = TimeSpan.Zero },
            new JournalSettings { Store = JournalStoreKind.Postgres, ConnectionString = await server.CreateDatabaseAsync(), Timeout = TimeSpan.FromSeconds(2) });
        var client = new IommufdClient(
            host.Services.GetRequiredService<IGrainFactory>(), new IommufdClientOptions { AttemptTimeout = TimeSpan.FromSeconds(3), RetryFor = TimeSpan.FromSeconds(8) });
        var contexts = await Task.WhenAll(Enumerable.Range(0, Contexts).Select(_ => client.OpenAsync()));

        // What Orleans says of the machine is not about the outage.
        log.Events.Clear();
        await server.StopImmediatelyAsync();
        try
        {
            foreach (var failure in await Task.WhenAll(contexts.Select(context => Assert.ThrowsAsync<IommufdTransportException>(() => context.AllocateIoasAsync().AsTask()))))
            {
                Assert.Contains("PostgreSQL database", failure.Message, StringComparison.Ordinal);
            }
        }
        finally
        {
            await server.StartAsync();
        }

        foreach (var context in contexts)
        {
            Assert.Equal(2, (await Task.WhenAll(context.AllocateIoasAsync().AsTask(), context.AllocateIoasAsync().AsTask())).Distinct().Count());
        }

        var events = log.Events.Where(entry => (entry.Level >= LogLevel.Warning && entry.Id != SlowMachine) || entry.Id is 2014 or 2016).ToList();
        Assert.True(
            events.Select(entry => entry.Id).Order().SequenceEqual([2014, 2016]),
            $"the outage begins and ends in the log, and nothing else is logged: {string.Join("; ", events.Select(entry => $"{entry.Id} {entry.Text}"))}");
        Assert.Contains("PostgreSQL database", events[0].Text, StringComparison.Ordinal);
        await host.StopAsync();
    }

    private sealed class Recorded : ILoggerProvider
    {
        public ConcurrentQueue<(LogLevel Level, int Id, string Text)> Events { get; } = [];

        public ILogger CreateLogger(string categoryName) => new Category(this);

        public void Dispose()
        {
        }

        private sealed class Category(Recorded recorded) : ILogger
        {
            public IDisposable? BeginScope<TState>(TState state)
                where TState : notnull
                => null;

            public bool IsEnabled(LogLevel logLevel) => true;

            public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
                => recorded.Events.Enqueue((logLevel, eventId.Id, formatter(state, exception)));
        }
    }
}
