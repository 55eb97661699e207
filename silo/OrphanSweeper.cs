using IommuFd.GrainInterfaces;
using IommuFd.Grains.Configuration;
using IommuFd.Grains.Journaling;
using IommuFd.Grains.Monitoring;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;

namespace IommuFd.Silo;

// A durable context whose silo has died recovers when its opener calls. If the opener has died too, the context would stay in the journal for
// ever: no request activates it, and no activation checks its leases. So one silo of the cluster, the one with the lowest address, looks for
// journals whose owner is no active silo, and no silo of another cluster, and recovers their contexts; leases do the rest. It sweeps after a change of the membership, and once
// an hour to purge, not all the time.
//
// The same holds for a context whose silo lives and whose activation has deactivated, such as for a database that was down: there each silo sees to its own.

/// <summary>Recovers contexts whose silo is gone, so that their leases can end, and purges final replies.</summary>
internal sealed class OrphanSweeper(
    IJournal journal,
    AbandonedContexts abandoned,
    ContextControls controls,
    IClusterMembershipService membership,
    ILocalSiloDetails silo,
    IOptions<ContextOptions> options,
    TimeProvider time,
    ILogger<OrphanSweeper> logger) : BackgroundService
{
    private const int PageSize = 1000;

    private const int Concurrency = 16;

    /// <summary>How long the final reply of a released context is kept, for a Put that is repeated.</summary>
    internal static readonly TimeSpan KeepReleased = TimeSpan.FromHours(1);

    private static readonly TimeSpan RetryPeriod = TimeSpan.FromSeconds(5);

    /// <summary>Sweeps once.</summary>
    /// <returns>How many contexts were recovered.</returns>
    internal async Task<int> SweepAsync(CancellationToken cancellationToken)
    {
        var count = 0;
        ContextKey? after = null;
        while (await journal.Store.ListAsync(after, PageSize, cancellationToken) is { Count: > 0 } page)
        {
            var active = ActiveOwners();
            await Parallel.ForEachAsync(
                page.Where(info => JournalOwner.MayTake(info.Owner, journal.Owner) && !active.Contains(JournalOwner.SiloOf(info.Owner))),
                new ParallelOptions { MaxDegreeOfParallelism = Concurrency, CancellationToken = cancellationToken },
                async (orphan, _) =>
                {
                    await controls.Of(orphan.Key).SweepAsync();
                    Interlocked.Increment(ref count);
                });
            after = page[^1].Key;
        }

        await journal.Store.PurgeAsync(KeepReleased, cancellationToken);
        return count;
    }

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        if (options.Value.Lease == TimeSpan.Zero)
        {
            return;
        }

        var swept = default(MembershipVersion);
        var last = time.GetTimestamp();
        using var timer = new PeriodicTimer(RetryPeriod, time);
        while (await NextAsync(timer, stoppingToken))
        {
            await RecoverAbandonedAsync(stoppingToken);
            var version = membership.CurrentSnapshot.Version;
            if ((version == swept && time.GetElapsedTime(last) < KeepReleased) || !IsSweeper())
            {
                continue;
            }

            try
            {
                var count = await SweepAsync(stoppingToken);
                (swept, last) = (version, time.GetTimestamp());
                if (count > 0)
                {
                    logger.OrphansRecovered(count);
                }
            }
            catch (Exception exception) when (!stoppingToken.IsCancellationRequested)
            {
                // Nothing is marked as swept, so the next tick tries again.
                logger.SweepFailed(exception);
            }
        }
    }

    // One that can't be recovered yet is abandoned again.
    private Task RecoverAbandonedAsync(CancellationToken stoppingToken)
        => Parallel.ForEachAsync(abandoned.TakeAll(), new ParallelOptions { MaxDegreeOfParallelism = Concurrency, CancellationToken = stoppingToken }, async (key, _) =>
        {
            try
            {
                await controls.Of(key).SweepAsync();
            }
            catch (Exception) when (!stoppingToken.IsCancellationRequested)
            {
                abandoned.Add(key);
            }
        });

    private static async ValueTask<bool> NextAsync(PeriodicTimer timer, CancellationToken stoppingToken)
    {
        try
        {
            return await timer.WaitForNextTickAsync(stoppingToken);
        }
        catch (OperationCanceledException)
        {
            return false;
        }
    }

    private HashSet<string> ActiveOwners()
        => [.. membership.CurrentSnapshot.Members.Values.Where(member => !member.Status.IsTerminating()).Select(member => member.SiloAddress.ToParsableString())];

    private bool IsSweeper()
        => membership.CurrentSnapshot.Members.Values
            .Where(member => member.Status == SiloStatus.Active)
            .Select(member => member.SiloAddress)
            .Order()
            .FirstOrDefault() is { } first && first.Equals(silo.SiloAddress);
}
