using System.Globalization;
using IommuFd.Chaos.Clients;
using IommuFd.Chaos.Faults;
using IommuFd.Chaos.Outages;

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

    /// <summary>What a hostile client did, in its words; empty for none.</summary>
    public string Hostile { get; init; } = "";

    /// <summary>The calls that took long, and what they belong to.</summary>
    public required OutageReport Outages { get; init; }

    public required IReadOnlyDictionary<FaultKind, int> Faults { get; init; }

    /// <summary>The violations, one sentence each.</summary>
    public required IReadOnlyList<string> Violations { get; init; }

    /// <inheritdoc/>
    public override string ToString() => string.Join('\n', Lines());

    private IEnumerable<string> Lines() =>
    [
        Line("in", $"{Elapsed.TotalSeconds:F0} s"),
        Line("ioctls acknowledged", $"{Tally.Acknowledged} on {Judged} contexts; {Tally.Unknown} given up with an unknown outcome, {Tally.NotRun} that did not run"),
        Line("C programs", $"{ProgramRounds} rounds, the longest {ProgramLongest / 1000.0:F1} s"),
        .. Hostile.Length > 0 ? (string[])[Line("hostile client", $"{Hostile}")] : [],
        Line("faults injected", $"{Faults.Values.Sum()}: {string.Join(", ", Faults.Where(fault => fault.Value > 0).Select(fault => $"{fault.Value} {Label(fault.Key)}"))}"),
        Line("longest call", $"{Tally.Longest / 1000.0:F1} s"),
        Line($"longest above {Outage.Least.TotalSeconds:F0} s", $"{Outages.LongestWithoutOne:F1} s with one silo away, {Outages.LongestWithoutSeveral:F1} s with several, {Outages.LongestWithoutDatabase:F1} s without the database"),
        .. Outages.Lines,
        Line("violations", $"{Violations.Count}"),
    ];

    private static string Line(string name, FormattableString value) => $"{name,-20} {value.ToString(CultureInfo.InvariantCulture)}";

    private static string Label(FaultKind kind) => kind switch
    {
        FaultKind.KillSilo => "silos killed",
        FaultKind.PauseSilo => "silos paused",
        FaultKind.StopSilo => "silos stopped",
        FaultKind.KillClient => "client processes killed",
        FaultKind.RestartDatabase => "restarts of the database",
        _ => "full disks",
    };
}
