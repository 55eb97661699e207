using IommuFd.GrainInterfaces;
using Orleans.Services;

namespace IommuFd.Grains.Monitoring;

/// <summary>What a silo tells of itself to other silos. Each has one; it answers from memory, without a call.</summary>
[Alias("IommuFd.ISiloMonitor")]
internal interface ISiloMonitor : IGrainService
{
    /// <summary>The silo's part of an overview; what membership knows is left out.</summary>
    [Alias("Overview")]
    Task<SiloOverview> OverviewAsync(OverviewRequest request);

    /// <summary>The silo's part of a page: as many contexts as the page can need.</summary>
    [Alias("ListContexts")]
    Task<SiloContextPage> ListContextsAsync(ContextQuery query);

    /// <summary>The handle of a context of this silo, which must be shown to nobody; null where it has none of this tag.</summary>
    [Alias("Find")]
    Task<ContextHandle?> FindAsync(ContextTag tag);
}

/// <summary>A silo's part of a page of contexts.</summary>
/// <param name="Total">Contexts of the silo that were found.</param>
/// <param name="Contexts">The first of them.</param>
[GenerateSerializer, Immutable, Alias("IommuFd.SiloContextPage")]
internal sealed record SiloContextPage([property: Id(0)] long Total, [property: Id(1)] ContextSummary[] Contexts);
