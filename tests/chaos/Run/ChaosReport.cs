using System.Globalization;
using IommuFd.Chaos.Clients;
using IommuFd.Chaos.Faults;

namespace IommuFd.Chaos.Run;

/// <summary>The results of a run.</summary>
internal sealed record ChaosReport
{
    public required TimeSpan Elapsed { get; init; }

    /// <summary>The counts of all clients.</summary>
    public required Tally Tally { get; init; }

    /// <summary>Number of contexts whose histories were judged linearizable or not.</summary>
    public required int Judged { get; init; }

    /// <summary>Rounds of C programs, of which each has eight ioctls or a fault's way through a queue.</summary>
    public long ProgramRounds { get; init; }

    /// <summary>The longest that one of these rounds took, in milliseconds.</summary>
    public long ProgramLongest { get; init; }

    public required IReadOnlyDictionary<FaultKind, int> Faults { get; init; }

    /// <summary>The violations, one sentence each.</summary>
    public required IReadOnlyList<string> Violations { get; init; }

    /// <inheritdoc/>
    public override string ToString() => string.Create(CultureInfo.InvariantCulture, $"""
        in {Elapsed.TotalSeconds:F0} s
        ioctls acknowledged  {Tally.Acknowledged} on {Judged} contexts; {Tally.Unknown} given up with an unknown outcome, {Tally.NotRun} that did not run
        C programs           {ProgramRounds} rounds, the longest {ProgramLongest / 1000.0:F1} s
        faults injected      {Faults.Values.Sum()}: {string.Join(", ", Faults.Select(fault => $"{fault.Value} {Label(fault.Key)}"))}
        longest outage       {Tally.Longest / 1000.0:F1} s
        violations           {Violations.Count}
        """);

    private static string Label(FaultKind kind) => kind switch
    {
        FaultKind.KillSilo => "silos killed",
        FaultKind.PauseSilo => "silos paused",
        FaultKind.StopSilo => "silos stopped",
        _ => "client processes killed",
    };
}
