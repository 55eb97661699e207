using System.Collections.Concurrent;
using System.Security.Cryptography;
using Microsoft.Extensions.Logging;

namespace IommuFd.Grains.Proofs;

// Orleans lets its clients call every grain and every grain service, those too whose contracts are the silos' own. So the calls of such a
// contract carry the proof of the silo that makes them. The receiver knows its own silo's proof, and asks the silo that another proof names,
// once. So there is no secret to configure or to share.

/// <summary>The proofs of silos, as this silo knows them. Thread-safe.</summary>
/// <param name="silo">This silo.</param>
/// <param name="ask">Asks the silo that a proof names whether the proof is its own; false where there is no such silo or no answer.</param>
/// <param name="time">The clock.</param>
/// <param name="logger">Logs refused calls.</param>
internal sealed class SiloProofs(SiloAddress silo, Func<SiloProof, Task<bool>> ask, TimeProvider time, ILogger logger)
{
    // A client that forges calls can forge many.
    private static readonly TimeSpan WarningPeriod = TimeSpan.FromMinutes(1);

    // A silo's address is one process's, and its proof never changes.
    private readonly ConcurrentDictionary<SiloAddress, Guid> _others = [];
    private long _refusals;
    private long? _warned;

    /// <summary>This silo's proof.</summary>
    public SiloProof Own { get; } = new(silo, new Guid(RandomNumberGenerator.GetBytes(16)));

    /// <summary>Whether a proof is known to be genuine, without asking anybody.</summary>
    public bool IsKnown(SiloProof? proof)
        => ReferenceEquals(proof, Own)
            || (proof is { Silo: not null } && (proof.Silo.Equals(silo) ? proof.Secret == Own.Secret : _others.TryGetValue(proof.Silo, out var secret) && proof.Secret == secret));

    /// <summary>Whether a call comes from a silo. One that does not is counted, and logged now and then.</summary>
    /// <param name="proof">The call's proof.</param>
    /// <param name="target">What is called, for the log.</param>
    public ValueTask<bool> IsGenuineAsync(SiloProof? proof, GrainId target) => IsKnown(proof) ? ValueTask.FromResult(true) : AskAsync(proof, target);

    private async ValueTask<bool> AskAsync(SiloProof? proof, GrainId target)
    {
        if (proof is { Silo: not null } && !proof.Silo.Equals(silo) && !_others.ContainsKey(proof.Silo) && await ask(proof))
        {
            _others[proof.Silo] = proof.Secret;
            return true;
        }

        Refused(target);
        return false;
    }

    private void Refused(GrainId target)
    {
        lock (_others)
        {
            _refusals++;
            var now = time.GetTimestamp();
            if (_warned is { } warned && time.GetElapsedTime(warned, now) < WarningPeriod)
            {
                return;
            }

            logger.CallsRefused(_refusals, target.ToString());
            (_refusals, _warned) = (0, now);
        }
    }
}
