using System.ComponentModel.DataAnnotations;
using Orleans.Configuration;

namespace IommuFd.Silo.Clustering;

// Orleans adapts the time it gives a probe, which is also the time between two, to what probes take: MinProbeTimeout where they take nothing, up to
// MaxProbeTimeout where silos are busy. A probe that fails at once (the process is gone, its port answers with a reset) counts only once a period
// all the same. So a killed silo is found after about MissedProbes * MinProbeTimeout, and MissedProbes * MaxProbeTimeout at worst; and one that is
// only slow has that long too, and longer while anything else arrives from it.

/// <summary>When a silo that does not answer is declared dead: the section <c>Silo:FailureDetection</c>. docs/operations.md has what was measured with these defaults.</summary>
public sealed class FailureDetectionSettings : IValidatableObject
{
    /// <summary>How long a silo waits for the answer to a probe before it knows how long answers take. 1 s by default.</summary>
    [Range(typeof(TimeSpan), "00:00:00.05", "00:10:00")]
    public TimeSpan ProbeTimeout { get; set; } = TimeSpan.FromSeconds(1);

    /// <summary>The least that it waits where answers come at once. 0.75 s by default: less, and a machine that gets busy all of a sudden looks dead to itself.</summary>
    [Range(typeof(TimeSpan), "00:00:00.05", "00:10:00")]
    public TimeSpan MinProbeTimeout { get; set; } = TimeSpan.FromSeconds(0.75);

    /// <summary>The longest that it waits where answers take long. 1.5 s by default.</summary>
    [Range(typeof(TimeSpan), "00:00:00.05", "01:00:00")]
    public TimeSpan MaxProbeTimeout { get; set; } = TimeSpan.FromSeconds(1.5);

    /// <summary>After how many probes without an answer, one after the other, a silo votes another dead. 3 by default.</summary>
    [Range(1, 100)]
    public int MissedProbes { get; set; } = 3;

    /// <summary>How many silos must vote one dead; half of those that live are enough in a smaller cluster. 2 by default.</summary>
    [Range(1, 100)]
    public int Votes { get; set; } = 2;

    /// <summary>How long a vote counts. 30 s by default.</summary>
    [Range(typeof(TimeSpan), "00:00:01", "1.00:00:00")]
    public TimeSpan VoteExpiration { get; set; } = TimeSpan.FromSeconds(30);

    /// <summary>How many others a silo probes. 10 by default.</summary>
    [Range(1, 1000)]
    public int ProbedSilos { get; set; } = 10;

    /// <summary>Whether the last probe before a vote goes by way of a third silo, which then votes too. True by default.</summary>
    public bool IndirectProbes { get; set; } = true;

    /// <summary>How often a silo reads the membership, apart from what others tell it. 5 s by default.</summary>
    [Range(typeof(TimeSpan), "00:00:00.1", "01:00:00")]
    public TimeSpan TableRefresh { get; set; } = TimeSpan.FromSeconds(5);

    /// <summary>How often a silo writes down that it lives. One that has missed three times has no vote, and need not be reached by a silo that joins. 2 s by default.</summary>
    [Range(typeof(TimeSpan), "00:00:00.1", "01:00:00")]
    public TimeSpan AliveInterval { get; set; } = TimeSpan.FromSeconds(2);

    /// <summary>How long a silo tries to join. 2 minutes by default.</summary>
    [Range(typeof(TimeSpan), "00:00:01", "01:00:00")]
    public TimeSpan JoinTimeout { get; set; } = TimeSpan.FromMinutes(2);

    /// <summary>How long the dead stay in the membership. 1 day by default; the 25 that died last stay at most.</summary>
    [Range(typeof(TimeSpan), "00:01:00", "365.00:00:00")]
    public TimeSpan DefunctExpiration { get; set; } = TimeSpan.FromDays(1);

    /// <inheritdoc/>
    public IEnumerable<ValidationResult> Validate(ValidationContext validationContext)
    {
        if (MaxProbeTimeout < ProbeTimeout)
        {
            yield return new ValidationResult($"is {MaxProbeTimeout}, less than ProbeTimeout, {ProbeTimeout}", [nameof(MaxProbeTimeout)]);
        }

        if (MinProbeTimeout > ProbeTimeout)
        {
            yield return new ValidationResult($"is {MinProbeTimeout}, more than ProbeTimeout, {ProbeTimeout}", [nameof(MinProbeTimeout)]);
        }

        if (Votes > ProbedSilos)
        {
            yield return new ValidationResult($"is {Votes}, more than the {ProbedSilos} silos that a silo is probed by (ProbedSilos): none could be declared dead", [nameof(Votes)]);
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
