using IommuFd.GrainInterfaces;
using IommuFd.Grains.Configuration;
using IommuFd.Grains.Journaling;
using IommuFd.Grains.Proofs;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;

namespace IommuFd.Grains.Monitoring;

/// <inheritdoc cref="ISiloMonitor"/>
internal sealed class SiloMonitor(
    GrainId id, Silo silo, ILoggerFactory loggers, ILocalSiloDetails details, IOptions<ContextOptions> options, SiloStatistics statistics, ContextDirectory directory,
    TimeProvider time, SiloProofs proofs, IEnumerable<IProgramDirectory> programs, IEnumerable<IJournalHealth> journals)
    : GrainService(id, silo, loggers), ISiloMonitor
{
    private readonly string _address = details.SiloAddress.ToString();
    private readonly IJournalHealth? _journal = journals.SingleOrDefault();

    public Task<SiloOverview> OverviewAsync(SiloProof proof, OverviewRequest request) => AnswerAsync(proof, () => Overview(request), new SiloOverview { Address = _address });

    public Task<SiloContextPage> ListContextsAsync(SiloProof proof, ContextQuery query)
        => AnswerAsync(proof, () => ContextSelection.Select(directory, query, _address, options.Value.Lease, time), new SiloContextPage(0, []));

    public Task<ContextKey?> FindAsync(SiloProof proof, ContextTag tag) => AnswerAsync(proof, () => directory.Find(tag)?.Key, null);

    public Task<ContextPrograms[]> ProgramsAsync(SiloProof proof, ContextTag[] contexts) => AnswerAsync<ContextPrograms[]>(proof, () => [.. programs.SelectMany(known => known.ProgramsOf(contexts))], []);

    public Task<SiloFaults> FaultsAsync(SiloProof proof, FaultQuery query) => AnswerAsync(proof, () => Faults(query), new SiloFaults(default, []));

    private async Task<T> AnswerAsync<T>(SiloProof proof, Func<T> answer, T refusal)
        => await proofs.IsGenuineAsync(proof, ((IGrainContext)this).GrainId) ? answer() : refusal;

    private SiloFaults Faults(FaultQuery query)
    {
        var (faults, last) = statistics.DmaFaults.Read(query.Context, query.After?.FirstOrDefault(mark => mark.Silo == _address).Last ?? 0);
        return new SiloFaults(new FaultMark(_address, last), [.. faults.Select(fault => fault with { Silo = _address })]);
    }

    private SiloOverview Overview(OverviewRequest request) => new()
    {
        Address = _address,
        Answered = true,
        Started = statistics.Started.UtcDateTime,
        Contexts = statistics.Contexts,
        DurableContexts = statistics.DurableContexts,
        Objects = [.. statistics.Objects()],
        Ioctls = [.. statistics.Ioctls()],
        Activity = statistics.Activity(request.AfterSecond),
        Journal = _journal is null ? JournalState.None : _journal.Problem is null ? JournalState.Works : JournalState.Fails,
        JournalProblem = _journal?.Problem ?? "",
    };
}
