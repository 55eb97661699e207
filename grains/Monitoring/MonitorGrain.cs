using IommuFd.GrainInterfaces;
using Orleans.Concurrency;

namespace IommuFd.Grains.Monitoring;

/// <inheritdoc cref="IMonitorGrain"/>
/// <remarks>It has no state, so each silo can have its own: a caller is answered by the silo that it is connected to.</remarks>
[StatelessWorker(1)]
[Reentrant]
internal sealed class MonitorGrain(SiloMonitors monitors, TimeProvider time) : Grain, IMonitorGrain
{
    // A client that leaves out what it asks for gets the least there is.
    public async Task<ClusterOverview> OverviewAsync(OverviewRequest request)
    {
        request ??= new OverviewRequest(long.MaxValue);
        var members = monitors.Members;
        var answers = (await monitors.AskAsync(members, (monitor, proof) => monitor.OverviewAsync(proof, request))).ToDictionary(answer => answer.Silo.SiloAddress, answer => answer.Answer);
        return new ClusterOverview(time.GetUtcNow().ToUnixTimeSeconds(), [.. members.Select(member => Show(member, answers.GetValueOrDefault(member.SiloAddress)))]);
    }

    public async Task<ContextPage> ListContextsAsync(ContextQuery query)
    {
        query ??= new ContextQuery("", default, Descending: false, 0, 0);
        var answers = await monitors.AskAsync(monitors.Members, (monitor, proof) => monitor.ListContextsAsync(proof, query));
        var page = ContextSelection.Merge(
            query,
            [.. answers.Select(answer => answer.Answer).OfType<SiloContextPage>()],
            [.. answers.Where(answer => answer.Answer is null).Select(answer => answer.Silo.SiloAddress.ToString())]);
        return page.Contexts.Length == 0 ? page : page with { Contexts = await WithProgramsAsync(page.Contexts) };
    }

    public async Task<FaultPage> ListFaultsAsync(FaultQuery query)
    {
        query ??= new FaultQuery(null, [], 0);
        var answers = await monitors.AskAsync(monitors.Members, (monitor, proof) => monitor.FaultsAsync(proof, query));
        var seen = answers.Select(answer => answer.Answer).OfType<SiloFaults>().ToList();
        var before = answers.Where(answer => answer.Answer is null).Select(answer => answer.Silo.SiloAddress.ToString()).ToHashSet();
        return new FaultPage(
            [.. seen.SelectMany(answer => answer.Faults).OrderBy(fault => fault.Time).ThenBy(fault => fault.Number).TakeLast(Math.Clamp(query.Limit, 1, FaultQuery.MaxLimit))],
            [.. seen.Select(answer => answer.Mark), .. (query.After ?? []).Where(mark => before.Contains(mark.Silo))],
            [.. before]);
    }

    // A program is known to the silo that it is connected to, which need not be the context's.
    private async Task<ContextSummary[]> WithProgramsAsync(ContextSummary[] contexts)
    {
        ContextTag[] tags = [.. contexts.Select(context => context.Tag)];
        var answers = await monitors.AskAsync(monitors.Members, (monitor, proof) => monitor.ProgramsAsync(proof, tags));
        var programs = answers.SelectMany(answer => answer.Answer ?? []).ToLookup(known => known.Context, known => known.Programs);
        return [.. contexts.Select(context => programs.Contains(context.Tag)
            ? context with { Programs = [.. programs[context.Tag].SelectMany(known => known).OrderByDescending(program => program.Descriptors).Take(ContextSummary.MaxPrograms)] }
            : context)];
    }

    private static SiloOverview Show(ClusterMember member, SiloOverview? answer)
        => (answer ?? new SiloOverview { Address = member.SiloAddress.ToString() }) with { Name = member.Name, Status = member.Status.ToString() };
}
