using System.ComponentModel.DataAnnotations;
using Orleans.Configuration;

namespace IommuFd.Silo.Clustering;

// Orleans adapts a probe's timeout, which is also the time between probes, to how long probes take: from MinProbeTimeout when they return at
// once, up to MaxProbeTimeout when silos are busy. A probe that fails at once (the process is gone, its port answers with a reset) still counts
// only once a period. So a killed silo is found after about MissedProbes * MinProbeTimeout, and MissedProbes * MaxProbeTimeout at worst. A silo
// that is only slow has as long, and longer while anything else arrives from it.

/// <summary>
/// When a silo that does not answer is declared dead: the section <c>Silo:FailureDetection</c>. docs/operations.md has measurements with these
/// defaults.
/// </summary>
public sealed class FailureDetectionSettings : IValidatableObject
{
    /// <summary>How long a silo waits for a probe's answer until it has measured how long answers take. 1 s by default.</summary>
    [Range(typeof(TimeSpan), "00:00:00.05", "00:10:00")]
    public TimeSpan ProbeTimeout { get; set; } = TimeSpan.FromSeconds(1);

    /// <summary>
    /// The shortest wait, when answers come at once. 0.75 s by default: with less, silos on a machine that suddenly gets busy look dead to each
    /// other.
    /// </summary>
    [Range(typeof(TimeSpan), "00:00:00.05", "00:10:00")]
    public TimeSpan MinProbeTimeout { get; set; } = TimeSpan.FromSeconds(0.75);

    /// <summary>The longest wait, when answers take long. 1 s by default.</summary>
    [Range(typeof(TimeSpan), "00:00:00.05", "01:00:00")]
    public TimeSpan MaxProbeTimeout { get; set; } = TimeSpan.FromSeconds(1);

    /// <summary>After how many unanswered probes in a row a silo votes another dead. 3 by default.</summary>
    [Range(1, 100)]
    public int MissedProbes { get; set; } = 3;

    /// <summary>How many silos must vote another dead; in a small cluster half of the living ones are enough. 2 by default.</summary>
    [Range(1, 100)]
    public int Votes { get; set; } = 2;

    /// <summary>How long a vote counts. 30 s by default.</summary>
    [Range(typeof(TimeSpan), "00:00:01", "1.00:00:00")]
    public TimeSpan VoteExpiration { get; set; } = TimeSpan.FromSeconds(30);

    /// <summary>How many other silos a silo probes. 10 by default.</summary>
    [Range(1, 1000)]
    public int ProbedSilos { get; set; } = 10;

    /// <summary>Whether the last probe before a vote goes through a third silo, which then votes too. True by default.</summary>
    public bool IndirectProbes { get; set; } = true;

    /// <summary>How often a silo reads the membership, besides what other silos tell it. 5 s by default.</summary>
    [Range(typeof(TimeSpan), "00:00:00.1", "01:00:00")]
    public TimeSpan TableRefresh { get; set; } = TimeSpan.FromSeconds(5);

    /// <summary>
    /// How often a silo reports itself alive in the membership. A silo that has missed three reports has no vote, and a joining silo need not
    /// reach it. 1 s by default: where two silos of three die at once, the third then need not wait for the second's vote longer than for probes.
    /// </summary>
    [Range(typeof(TimeSpan), "00:00:00.1", "01:00:00")]
    public TimeSpan AliveInterval { get; set; } = TimeSpan.FromSeconds(1);

    /// <summary>How long a silo tries to join. 2 minutes by default.</summary>
    [Range(typeof(TimeSpan), "00:00:01", "01:00:00")]
    public TimeSpan JoinTimeout { get; set; } = TimeSpan.FromMinutes(2);

    /// <summary>How long dead silos stay in the membership. 1 day by default; at most the 25 latest stay.</summary>
    [Range(typeof(TimeSpan), "00:01:00", "365.00:00:00")]
    public TimeSpan DefunctExpiration { get; set; } = TimeSpan.FromDays(1);

    /// <inheritdoc/>
    public IEnumerable<ValidationResult> Validate(ValidationContext validationContext)
    {
        if (MaxProbeTimeout < ProbeTimeout)
        {
            yield return new ValidationResult($"is {MaxProbeTimeout}; it must not be less than ProbeTimeout, {ProbeTimeout}", [nameof(MaxProbeTimeout)]);
        }

        if (MinProbeTimeout > ProbeTimeout)
        {
            yield return new ValidationResult($"is {MinProbeTimeout}; it must not be more than ProbeTimeout, {ProbeTimeout}", [nameof(MinProbeTimeout)]);
        }

        if (Votes > ProbedSilos)
        {
            yield return new ValidationResult($"is {Votes}; it must not exceed ProbedSilos, {ProbedSilos}: with fewer probing silos than votes, none could be declared dead", [nameof(Votes)]);
        }
    }

    internal void Apply(ClusterMembershipOptions options)
    {
        options.ProbeTimeout = ProbeTimeout;
        options.MinProbeTimeout = MinProbeTimeout;
        options.MaxProbeTimeout = MaxProbeTimeout;
        options.NumMissedProbesLimit = MissedProbes;
        options.NumVotesForDeathDeclaration = Votes;
        options.DeathVoteExpirationTimeout = VoteExpiration;
        options.NumProbedSilos = ProbedSilos;
        options.EnableIndirectProbes = IndirectProbes;
        options.TableRefreshTimeout = TableRefresh;
        options.IAmAliveTablePublishTimeout = AliveInterval;
        options.MaxJoinAttemptTime = JoinTimeout;
        options.DefunctSiloExpiration = DefunctExpiration;
    }
}
