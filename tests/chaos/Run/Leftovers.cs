using IommuFd.GrainInterfaces;
using IommuFd.Grains.Journaling;
using IommuFd.Silo.Journals;
using IommuFd.TestSupport;
using Microsoft.Extensions.Logging.Abstractions;

namespace IommuFd.Chaos.Run;

/// <summary>What is left once every context is closed and every lease has expired: there should be nothing.</summary>
internal static class Leftovers
{
    private static readonly string[] GrainTypes = ["ContextGrain", "IoasGrain", "DeviceGrain"];

    /// <summary>Looks until nothing is left, or leases have been expired for long.</summary>
    /// <param name="database">The database of the journals.</param>
    /// <param name="grains">The cluster.</param>
    /// <param name="lease">How long a killed client's references may remain.</param>
    /// <param name="violate">Called with what is left.</param>
    public static async Task FindAsync(string database, IGrainFactory grains, TimeSpan lease, Action<string> violate)
    {
        await using var store = new PostgresJournalStore(
            new JournalSettings { Store = JournalStoreKind.Postgres, ConnectionString = database }, NullLogger<PostgresJournalStore>.Instance);
        using var limit = new CancellationTokenSource((3 * lease) + Eventually.Limit);

        // The end of an activation and of a journal is announced by no event.
        using var poll = new PeriodicTimer(TimeSpan.FromMilliseconds(200));
        while (true)
        {
            var left = await TryLookAsync(store, grains);
            if (left.Count == 0)
            {
                return;
            }

            try
            {
                await poll.WaitForNextTickAsync(limit.Token);
            }
            catch (OperationCanceledException)
            {
                left.ForEach(violate);
                foreach (var context in (await grains.GetGrain<IMonitorGrain>(0).ListContextsAsync(new ContextQuery("", ContextOrder.Opener, Descending: false, 0, ContextQuery.MaxLimit))).Contexts)
                {
                    violate($"context {context.Tag} of {context.Opener} is open on {context.Silo} with {context.References} references; its lease ends in {context.Lease}");
                }

                return;
            }
        }
    }

    // A silo that joins or leaves meanwhile fails the question, and not the run.
    private static async Task<List<string>> TryLookAsync(PostgresJournalStore store, IGrainFactory grains)
    {
        try
        {
            return await LookAsync(store, grains);
        }
        catch (Exception exception) when (exception is OrleansException or TimeoutException or JournalStoreException)
        {
            return [$"what is left could not be asked for: {exception.Message}"];
        }
    }

    private static async Task<List<string>> LookAsync(PostgresJournalStore store, IGrainFactory grains)
    {
        var left = (await store.ListAsync(null, 10, CancellationToken.None)).Select(journal => $"the journal of context {journal.Key.Tag}, owned by {journal.Owner}, is left").ToList();
        foreach (var statistic in await grains.GetGrain<IManagementGrain>(0).GetSimpleGrainStatistics())
        {
            if (Array.Exists(GrainTypes, type => statistic.GrainType.Contains(type, StringComparison.Ordinal)) && statistic.ActivationCount > 0)
            {
                left.Add($"{statistic.ActivationCount} activations of {statistic.GrainType} are left on {statistic.SiloAddress}");
            }
        }

        return left;
    }
}
