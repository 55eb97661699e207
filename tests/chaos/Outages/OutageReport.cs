using System.Collections.Concurrent;
using System.Diagnostics;
using System.Globalization;

namespace IommuFd.Chaos.Outages;

// An outage belongs to what was away while it lasted. Once a part is back, the cluster needs a while: a silo joins, and what moved is found again. So an absence still counts for
// calls that were made shortly after it. What needs a certain silo is not slow before that is back. A call that was slow while all were there, and had been for a while, has no explanation.

/// <summary>The outages of a run and what each belongs to.</summary>
internal sealed class OutageReport(FaultLog faults)
{
    private static readonly long Settling = 5 * Stopwatch.Frequency;

    private readonly ConcurrentQueue<Outage> _reported = [];

    private IEnumerable<Outage> Outages => _reported.Select(SinceItsSiloIsBack).Where(outage => outage.Length > Outage.Least);

    /// <summary>Adds an outage.</summary>
    public void Add(Outage outage) => _reported.Enqueue(outage);

    /// <summary>The longest in seconds in which one silo was away, and the database was there; 0 if none was long.</summary>
    public double LongestWithoutOne => LongestOf(absences => !HasDatabase(absences) && SilosOf(absences) == 1);

    /// <summary>The longest in seconds in which several silos were away, at once or one after the other, and the database was there; 0 if none was long.</summary>
    public double LongestWithoutSeveral => LongestOf(absences => !HasDatabase(absences) && SilosOf(absences) > 1);

    /// <summary>The longest in seconds while the database was away; 0 if none was long.</summary>
    public double LongestWithoutDatabase => LongestOf(HasDatabase);

    /// <summary>A sentence for each outage that nothing explains.</summary>
    public IEnumerable<string> Unexplained => Outages.Where(outage => Explain(outage).Count == 0)
        .Select(outage => string.Create(CultureInfo.InvariantCulture, $"one of the {outage.Of} took {outage.Length.TotalSeconds:F1} s from {Seconds(outage.Began):F1} on, and nothing was away"));

    /// <summary>A line for each set of absences that outages belong to, the longest outage first.</summary>
    public IEnumerable<string> Lines => Outages.GroupBy(outage => (outage.Of, Why: string.Join(", ", Explain(outage).Select(Describe))))
        .OrderByDescending(group => group.Max(outage => outage.Length))
        .Select(group => string.Create(
            CultureInfo.InvariantCulture,
            $"{group.Max(outage => outage.Length).TotalSeconds,4:F1} s  {group.Count()} {group.Key.Of} from {Seconds(group.Min(outage => outage.Began)):F1} on: {(group.Key.Why.Length > 0 ? group.Key.Why : "nothing was away")}"));

    private double LongestOf(Predicate<List<Absence>> isOfKind) => Outages.Where(outage => isOfKind(Explain(outage))).Select(outage => outage.Length.TotalSeconds).DefaultIfEmpty().Max();

    private Outage SinceItsSiloIsBack(Outage outage)
        => outage.Silo is not { } needed ? outage : outage with
        {
            Began = faults.During(outage.Began, outage.Ended).Where(absence => absence.Part == Part.Silo && absence.Number == needed)
                .Select(absence => Math.Min(absence.Ended, outage.Ended)).Append(outage.Began).Max(),
        };

    private List<Absence> Explain(Outage outage)
    {
        var during = faults.During(outage.Began, outage.Ended);
        return during.Count > 0 ? during : faults.During(outage.Began - Settling, outage.Ended);
    }

    private static bool HasDatabase(List<Absence> absences) => absences.Exists(absence => absence.Part == Part.Database);

    private static int SilosOf(List<Absence> absences) => absences.Select(absence => absence.Number).Distinct().Count();

    private string Describe(Absence absence) => string.Create(
        CultureInfo.InvariantCulture, $"{absence.What} ({Seconds(absence.Began):F1} to {(absence.Ended == long.MaxValue ? "the end" : Seconds(absence.Ended).ToString("F1", CultureInfo.InvariantCulture))})");

    private double Seconds(long timestamp) => Stopwatch.GetElapsedTime(faults.Start, timestamp).TotalSeconds;
}
