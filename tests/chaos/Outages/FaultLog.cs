using System.Diagnostics;

namespace IommuFd.Chaos.Outages;

/// <summary>What may be away.</summary>
internal enum Part
{
    /// <summary>A silo.</summary>
    Silo,

    /// <summary>The database, which has the membership and the journals.</summary>
    Database,
}

/// <summary>What was away from when to when, on the monotonic clock, which all processes of a machine share.</summary>
internal sealed class FaultLog
{
    private readonly Lock _lock = new();
    private readonly List<Absence> _absences = [];

    /// <summary>When the run began.</summary>
    public long Start { get; } = Stopwatch.GetTimestamp();

    /// <summary>Notes that a part is away from now until the absence is disposed of.</summary>
    /// <param name="part">What kind of part.</param>
    /// <param name="number">Which of its kind; 1 is the first.</param>
    /// <param name="what">What happens to it, as text for people.</param>
    public Absence Begin(Part part, int number, string what)
    {
        var absence = new Absence(part, number, what);
        lock (_lock)
        {
            _absences.Add(absence);
        }

        return absence;
    }

    /// <summary>Whether a silo is away for a reason that is noted.</summary>
    public bool IsAway(int silo)
    {
        lock (_lock)
        {
            return _absences.Exists(absence => absence.Part == Part.Silo && absence.Number == silo && absence.Ended == long.MaxValue);
        }
    }

    /// <summary>The absences that had begun by the end of a time, and had not ended by its beginning.</summary>
    public List<Absence> During(long from, long until)
    {
        lock (_lock)
        {
            return _absences.FindAll(absence => absence.Began <= until && absence.Ended >= from);
        }
    }
}

/// <summary>A time in which a part of the cluster was away.</summary>
internal sealed class Absence(Part part, int number, string what) : IDisposable
{
    private long _ended = long.MaxValue;

    /// <summary>What kind of part.</summary>
    public Part Part => part;

    /// <summary>Which of its kind.</summary>
    public int Number => number;

    /// <summary>What happened to it.</summary>
    public string What => what;

    /// <summary>When it began.</summary>
    public long Began { get; } = Stopwatch.GetTimestamp();

    /// <summary>When it was over; in the far future while it is not.</summary>
    public long Ended => Volatile.Read(ref _ended);

    /// <summary>It is over.</summary>
    public void Dispose() => Interlocked.CompareExchange(ref _ended, Stopwatch.GetTimestamp(), long.MaxValue);
}
