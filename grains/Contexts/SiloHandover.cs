using IommuFd.Grains.Monitoring;

namespace IommuFd.Grains.Contexts;

/// <summary>
/// When a silo stops in order, moves its volatile contexts to the others, before Orleans ends the silo's grains. The silo still counts as active then, so that each context is told where to go,
/// and none may be opened here any more.
/// </summary>
internal sealed class SiloHandover(
    ContextDirectory contexts, IGrainFactory grains, IClusterMembershipService membership, ILocalSiloDetails silo) : ILifecycleParticipant<ISiloLifecycle>
{
    // Contexts that move at once.
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

        // Those that were being opened as this began are there when the first have left.
        contexts.IsClosed = true;
        var next = 0;
        while (contexts.All.Where(context => !context.IsDurable && !context.IsLeaving).ToList() is { Count: > 0 } leaving)
        {
            await Parallel.ForEachAsync(leaving, new ParallelOptions { MaxDegreeOfParallelism = Concurrency, CancellationToken = cancellationToken }, async (context, _) =>
            {
                context.IsLeaving = true;
                var destination = others[Interlocked.Increment(ref next) % others.Count];
                await grains.GetGrain<IContextHandover>(context.Handle.Value).HandOverAsync(destination);
            });
        }
    }
}
