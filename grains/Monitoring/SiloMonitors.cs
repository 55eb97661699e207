using Microsoft.Extensions.Logging;
using Orleans.Runtime.Services;

namespace IommuFd.Grains.Monitoring;

/// <summary>The way to the monitors of all silos.</summary>
internal sealed class SiloMonitors(IServiceProvider services, IClusterMembershipService membership, TimeProvider time, ILogger<SiloMonitors> logger)
    : GrainServiceClient<ISiloMonitor>(services)
{
    /// <summary>How long a silo may take to answer.</summary>
    public static readonly TimeSpan Patience = TimeSpan.FromSeconds(1);

    /// <summary>The silos that membership knows, by address.</summary>
    public IReadOnlyList<ClusterMember> Members => [.. membership.CurrentSnapshot.Members.Values.OrderBy(member => member.SiloAddress)];

    /// <summary>Asks all active silos at once.</summary>
    /// <returns>Each with its answer; null where it has not answered in time.</returns>
    public Task<(ClusterMember Silo, T? Answer)[]> AskAsync<T>(IEnumerable<ClusterMember> members, Func<ISiloMonitor, Task<T>> question)
        where T : class?
        => Task.WhenAll(members.Where(member => member.Status == SiloStatus.Active).Select(async member => (member, await AskAsync(member, question))));

    private async Task<T?> AskAsync<T>(ClusterMember member, Func<ISiloMonitor, Task<T>> question)
        where T : class?
    {
        try
        {
            return await question(GetGrainService(member.SiloAddress)).WaitAsync(Patience, time);
        }
        catch (Exception exception)
        {
            // A silo that just left fails in one way or another, and so does one that is too busy. Whoever asked wants to see the others.
            logger.SiloSilent(member.SiloAddress.ToString(), exception.Message);
            return null;
        }
    }
}
