using Microsoft.Extensions.Logging;
using Orleans.Runtime.Services;
using Orleans.Services;

namespace IommuFd.Grains.Proofs;

/// <summary>What silos ask each other of proofs.</summary>
[Alias("IommuFd.ISiloProofs")]
internal interface ISiloProofs : IGrainService
{
    /// <summary>Whether a proof is this silo's own.</summary>
    [Alias("IsGenuine")]
    Task<bool> IsGenuineAsync(SiloProof proof);
}

/// <inheritdoc cref="ISiloProofs"/>
internal sealed class SiloProofService(GrainId id, Silo silo, ILoggerFactory loggers, SiloProofs proofs) : GrainService(id, silo, loggers), ISiloProofs
{
    public Task<bool> IsGenuineAsync(SiloProof proof) => Task.FromResult(proof is { Silo: not null } && proof.Silo.Equals(proofs.Own.Silo) && proofs.IsKnown(proof));
}

/// <summary>Asks other silos of their proofs.</summary>
internal sealed class SiloProofPeers(IServiceProvider services, IClusterMembershipService membership, TimeProvider time) : GrainServiceClient<ISiloProofs>(services)
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(10);

    /// <summary>Asks the silo that a proof names; false where membership knows no such silo, or where it does not answer.</summary>
    public async Task<bool> IsGenuineAsync(SiloProof proof)
    {
        if (membership.CurrentSnapshot.GetSiloStatus(proof.Silo) == SiloStatus.None)
        {
            // It may have joined a moment ago.
            await membership.Refresh();
        }

        if (membership.CurrentSnapshot.GetSiloStatus(proof.Silo) is SiloStatus.None or SiloStatus.Created or SiloStatus.Dead)
        {
            return false;
        }

        try
        {
            return await GetGrainService(proof.Silo).IsGenuineAsync(proof).WaitAsync(Patience, time);
        }
        catch (Exception)
        {
            return false;
        }
    }
}
