using IommuFd.Grains.Journaling;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.DependencyInjection.Extensions;
using Microsoft.Extensions.Logging;

namespace IommuFd.Silo.Journals;

/// <summary>Registers a silo's journal and its store.</summary>
public static class JournalHosting
{
    /// <summary>
    /// Registers <see cref="IJournal"/> and <see cref="IJournalStore"/>. The store is set up before the silo runs any grain; if that fails, the
    /// silo does not start. The journal commits its writes and closes after the grains have ended. With <see cref="JournalStoreKind.None"/>
    /// nothing is registered.
    /// </summary>
    /// <param name="builder">The silo.</param>
    /// <param name="settings">Where journals are stored.</param>
    /// <returns>The same builder.</returns>
    /// <exception cref="System.ComponentModel.DataAnnotations.ValidationException">A setting is invalid; the message names it.</exception>
    public static ISiloBuilder AddJournal(this ISiloBuilder builder, JournalSettings settings)
    {
        ArgumentNullException.ThrowIfNull(settings);
        settings.Validate();
        switch (settings.Store)
        {
            case JournalStoreKind.Sqlite:
                AddStore(builder.Services, services => new SqliteJournalStore(settings, settings.Exclusive == true ? ClaimantOf(services, settings) : null, services.GetRequiredService<ILogger<SqliteJournalStore>>()));
                break;

            case JournalStoreKind.Postgres:
                AddStore(builder.Services, services => new PostgresJournalStore(settings, services.GetRequiredService<ILogger<PostgresJournalStore>>()));
                break;

            default:
                return builder;
        }

        builder.Services.AddMetrics();
        builder.Services.TryAddSingleton<JournalMetrics>();

        // The container creates the journal after the store it depends on, and so disposes the journal first.
        builder.Services.AddSingleton(services => new GroupCommitJournal(
            services.GetRequiredService<IJournalStore>(),
            JournalOwner.Of(settings.Cluster, services.GetRequiredService<ILocalSiloDetails>().SiloAddress.ToParsableString()),
            settings,
            services.GetRequiredService<ILogger<GroupCommitJournal>>(),
            services.GetRequiredService<JournalMetrics>()));
        builder.Services.AddSingleton<IJournal>(services => services.GetRequiredService<GroupCommitJournal>());
        builder.Services.TryAddEnumerable(ServiceDescriptor.Singleton<ILifecycleParticipant<ISiloLifecycle>, JournalLifecycle>());
        return builder;
    }

    private static string ClaimantOf(IServiceProvider services, JournalSettings settings)
        => $"the silo {services.GetRequiredService<ILocalSiloDetails>().SiloAddress.Endpoint} of cluster '{settings.Cluster}', process {Environment.ProcessId}";

    private static void AddStore(IServiceCollection services, Func<IServiceProvider, IJournalStore> store)
    {
        services.AddSingleton(provider => new WatchedJournalStore(store(provider), provider.GetRequiredService<ILogger<WatchedJournalStore>>()));
        services.AddSingleton<IJournalStore>(provider => provider.GetRequiredService<WatchedJournalStore>());
        services.AddSingleton<IJournalHealth>(provider => provider.GetRequiredService<WatchedJournalStore>());
    }

    // Stages start in ascending and stop in descending order. Grains run from the start of BecomeActive until its stop; grain services lie
    // between it and this stage.
    //
    // While nothing is asked of the journal, it is looked at each second: a file that is gone, or a database, is to be known before it is needed.
    private sealed class JournalLifecycle(GroupCommitJournal journal, TimeProvider time, ILogger<GroupCommitJournal> logger) : ILifecycleParticipant<ISiloLifecycle>, IDisposable
    {
        private static readonly TimeSpan Period = TimeSpan.FromSeconds(0.5);

        private readonly CancellationTokenSource _stop = new();
        private Task _looking = Task.CompletedTask;

        public void Dispose() => _stop.Dispose();

        public void Participate(ISiloLifecycle lifecycle)
            => lifecycle.Subscribe(nameof(JournalLifecycle), ServiceLifecycleStage.RuntimeStorageServices, StartAsync, StopAsync);

        private async Task StartAsync(CancellationToken cancellationToken)
        {
            await journal.Store.InitializeAsync(cancellationToken);
            logger.JournalOpened(journal.Store.Description);
            _looking = LookAsync();
        }

        private async Task StopAsync(CancellationToken cancellationToken)
        {
            await _stop.CancelAsync();
            await _looking;
            await journal.DisposeAsync();
        }

        // The store logs what is wrong.
        private async Task LookAsync()
        {
            using var timer = new PeriodicTimer(Period, time);
            try
            {
                while (await timer.WaitForNextTickAsync(_stop.Token))
                {
                    try
                    {
                        await journal.Store.ListAsync(null, 1, _stop.Token);
                    }
                    catch (JournalStoreException)
                    {
                    }
                }
            }
            catch (OperationCanceledException)
            {
            }
        }
    }
}
