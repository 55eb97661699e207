using IommuFd.Grains.Proofs;
using Microsoft.Extensions.Logging;
using Orleans.Runtime.Services;

namespace IommuFd.Grains.Monitoring;

/// <summary>Calls the monitors of all silos.</summary>
internal sealed class SiloMonitors(IServiceProvider services, IClusterMembershipService membership, TimeProvider time, SiloProofs proofs, ILogger<SiloMonitors> logger)
    : GrainServiceClient<ISiloMonitor>(services)
{
    /// <summary>How long a silo may take to answer.</summary>
    public static readonly TimeSpan Patience = TimeSpan.FromSeconds(1);

    /// <summary>The silos that membership knows, by address.</summary>
    public IReadOnlyList<ClusterMember> Members => [.. membership.CurrentSnapshot.Members.Values.OrderBy(member => member.SiloAddress)];

    /// <summary>Asks all active silos at once.</summary>
    /// <returns>Each silo with its answer; null if it did not answer in time.</returns>
    public Task<(ClusterMember Silo, T? Answer)[]> AskAsync<T>(IEnumerable<ClusterMember> members, Func<ISiloMonitor, SiloProof, Task<T>> question)
        where T : class?
        => Task.WhenAll(members.Where(member => member.Status == SiloStatus.Active).Select(async member => (member, await AskAsync(member, question))));

    private async Task<T?> AskAsync<T>(ClusterMember member, Func<ISiloMonitor, SiloProof, Task<T>> question)
        where T : class?
    {
        try
        {
            return await question(GetGrainService(member.SiloAddress), proofs.Own).WaitAsync(Patience, time);
        }
        catch (Exception exception)
        {
            // A silo that just stopped, or is too busy, fails in some way. The caller still wants the others' answers.
            logger.SiloSilent(member.SiloAddress.ToString(), exception.Message);
            return null;
        }
    }
}
