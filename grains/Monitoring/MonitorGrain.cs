using IommuFd.GrainInterfaces;
using Orleans.Concurrency;

namespace IommuFd.Grains.Monitoring;

/// <inheritdoc cref="IMonitorGrain"/>
/// <remarks>It has no state, so each silo can have its own: a caller is answered by the silo that it is connected to.</remarks>
[StatelessWorker(1)]
[Reentrant]
internal sealed class MonitorGrain(SiloMonitors monitors, TimeProvider time) : Grain, IMonitorGrain
{
    public async Task<ClusterOverview> OverviewAsync(OverviewRequest request)
    {
        var members = monitors.Members;
        var answers = (await monitors.AskAsync(members, (monitor, proof) => monitor.OverviewAsync(proof, request))).ToDictionary(answer => answer.Silo.SiloAddress, answer => answer.Answer);
        return new ClusterOverview(time.GetUtcNow().ToUnixTimeSeconds(), [.. members.Select(member => Show(member, answers.GetValueOrDefault(member.SiloAddress)))]);
    }

    public async Task<ContextPage> ListContextsAsync(ContextQuery query)
    {
        var answers = await monitors.AskAsync(monitors.Members, (monitor, proof) => monitor.ListContextsAsync(proof, query));
        return ContextSelection.Merge(
            query,
            [.. answers.Select(answer => answer.Answer).OfType<SiloContextPage>()],
            [.. answers.Where(answer => answer.Answer is null).Select(answer => answer.Silo.SiloAddress.ToString())]);
    }

    private static SiloOverview Show(ClusterMember member, SiloOverview? answer)
        => (answer ?? new SiloOverview { Address = member.SiloAddress.ToString() }) with { Name = member.Name, Status = member.Status.ToString() };
}
