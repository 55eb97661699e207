namespace IommuFd.GrainInterfaces;

/// <summary>
/// Monitors a cluster from outside. Its key is 0. Each call asks every silo; the grain itself has no state. It never returns a handle: a
/// client that is to act on a context must get the handle from the opener.
/// </summary>
[Alias("IommuFd.IMonitorGrain")]
public interface IMonitorGrain : IGrainWithIntegerKey
{
    /// <summary>Returns the silos and their activity.</summary>
    /// <param name="request">How much of the past to include.</param>
    /// <returns>The overview. A silo that does not answer within a second is marked as silent.</returns>
    [Alias("Overview")]
    Task<ClusterOverview> OverviewAsync(OverviewRequest request);

    /// <summary>Returns a page of the open contexts.</summary>
    /// <param name="query">Which contexts.</param>
    /// <returns>The page. Contexts of a silo that does not answer within a second are missing.</returns>
    [Alias("ListContexts")]
    Task<ContextPage> ListContextsAsync(ContextQuery query);

    /// <summary>Returns the last accesses of devices that could not be translated.</summary>
    /// <param name="query">Which.</param>
    /// <returns>The faults. Those of a silo that does not answer within a second are missing.</returns>
    [Alias("ListFaults")]
    Task<FaultPage> ListFaultsAsync(FaultQuery query);
}
