using IommuFd.GrainInterfaces;
using IommuFd.Grains.Proofs;
using Orleans.Services;

namespace IommuFd.Grains.Monitoring;

/// <summary>What a silo reports to other silos about itself. Each silo has one, which answers from memory. To a call without the proof of a silo it reports nothing.</summary>
[Alias("IommuFd.ISiloMonitor")]
internal interface ISiloMonitor : IGrainService
{
    /// <summary>The silo's part of an overview; it lacks what membership knows.</summary>
    [Alias("Overview")]
    Task<SiloOverview> OverviewAsync(SiloProof proof, OverviewRequest request);

    /// <summary>The silo's part of a page: as many contexts as the page may need.</summary>
    [Alias("ListContexts")]
    Task<SiloContextPage> ListContextsAsync(SiloProof proof, ContextQuery query);

    /// <summary>The key of this silo's context with a tag; null if it has none.</summary>
    [Alias("Find")]
    Task<ContextKey?> FindAsync(SiloProof proof, ContextTag tag);

    /// <summary>The programs of this silo's gateway that have descriptors of some contexts, on whatever silo these run.</summary>
    [Alias("Programs")]
    Task<ContextPrograms[]> ProgramsAsync(SiloProof proof, ContextTag[] contexts);

    /// <summary>The silo's part of the accesses of devices that could not be translated.</summary>
    [Alias("Faults")]
    Task<SiloFaults> FaultsAsync(SiloProof proof, FaultQuery query);
}

/// <summary>A silo's part of a page of contexts.</summary>
/// <param name="Total">Number of the silo's contexts that match.</param>
/// <param name="Contexts">The first of them.</param>
[GenerateSerializer, Immutable, Alias("IommuFd.SiloContextPage")]
internal sealed record SiloContextPage([property: Id(0)] long Total, [property: Id(1)] ContextSummary[] Contexts);

/// <summary>A silo's part of the accesses of devices that could not be translated.</summary>
/// <param name="Mark">The last there was.</param>
/// <param name="Faults">Those after the caller's mark, oldest first.</param>
[GenerateSerializer, Immutable, Alias("IommuFd.SiloFaults")]
internal sealed record SiloFaults([property: Id(0)] FaultMark Mark, [property: Id(1)] RecordedDmaFault[] Faults);
