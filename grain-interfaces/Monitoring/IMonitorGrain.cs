namespace IommuFd.GrainInterfaces;

/// <summary>
/// What a cluster does, for whoever looks at it from outside. There is one, with key 0. It asks every silo when it is asked, and knows nothing by itself. It gives no handle
/// away: who is to act on a context must have that from whoever opened it.
/// </summary>
[Alias("IommuFd.IMonitorGrain")]
public interface IMonitorGrain : IGrainWithIntegerKey
{
    /// <summary>Shows the silos, and what they do.</summary>
    /// <param name="request">How much of the past.</param>
    /// <returns>The overview. A silo that does not answer within a second is shown as one that did not.</returns>
    [Alias("Overview")]
    Task<ClusterOverview> OverviewAsync(OverviewRequest request);

    /// <summary>Shows a page of the contexts that are open.</summary>
    /// <param name="query">Which.</param>
    /// <returns>The page. Contexts of a silo that does not answer within a second are missing.</returns>
    [Alias("ListContexts")]
    Task<ContextPage> ListContextsAsync(ContextQuery query);
}
