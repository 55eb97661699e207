using IommuFd.Grains.Monitoring;
using Microsoft.Extensions.Logging;

namespace IommuFd.Grains.Contexts;

/// <summary>
/// When a silo stops in order, moves its volatile contexts to other silos before Orleans ends the silo's grains. Membership still calls
/// the silo active then, so each context is told where to go, and the quota admits no new ones.
/// </summary>
internal sealed class SiloHandover(
    ContextDirectory contexts, ContextQuota quota, ContextControls controls, IClusterMembershipService membership, ILocalSiloDetails silo, ILogger<SiloHandover> logger)
    : ILifecycleParticipant<ISiloLifecycle>
{
    // How many contexts move at the same time.
    private const int Concurrency = 64;

    public void Participate(ISiloLifecycle lifecycle)
        => lifecycle.Subscribe(nameof(SiloHandover), ServiceLifecycleStage.Active, static _ => Task.CompletedTask, HandOverAsync);

    private async Task HandOverAsync(CancellationToken cancellationToken)
    {
        var others = membership.CurrentSnapshot.Members.Values
            .Where(member => member.Status == SiloStatus.Active && !member.SiloAddress.Equals(silo.SiloAddress))
            .Select(member => member.SiloAddress)
            .ToList();
        if (others.Count == 0)
        {
            return;
        }

        // Contexts that were being opened at this moment are listed by the time that the first ones have left.
        quota.Close();
        var next = 0;
        while (contexts.All.Where(context => !context.IsDurable && !context.IsLeaving).ToList() is { Count: > 0 } leaving)
        {
            await Parallel.ForEachAsync(leaving, new ParallelOptions { MaxDegreeOfParallelism = Concurrency, CancellationToken = cancellationToken }, async (context, _) =>
            {
                context.IsLeaving = true;
                var first = Interlocked.Increment(ref next);
                for (var i = 0; i < others.Count && !await HandOverAsync(context, others[(first + i) % others.Count], cancellationToken); i++)
                {
                }
            });
        }
    }

    // One context that can't leave, or a silo that takes none, keeps no others back.
    private async Task<bool> HandOverAsync(MonitoredContext context, SiloAddress destination, CancellationToken cancellationToken)
    {
        try
        {
            await controls.Of(context.Key).HandOverAsync(destination).WaitAsync(cancellationToken);
            return true;
        }
        catch (Exception exception) when (!cancellationToken.IsCancellationRequested)
        {
            logger.ContextNotHandedOver(exception, context.Key.Tag, destination.ToString());
            return false;
        }
    }
}
