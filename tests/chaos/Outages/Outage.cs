using System.Diagnostics;
using System.Globalization;

namespace IommuFd.Chaos.Outages;

/// <summary>A call, or a round of calls, that took long, answered or not.</summary>
/// <param name="Of">What it is one of, as text for people.</param>
/// <param name="Began">When it was made, in ticks of the monotonic clock.</param>
/// <param name="Ended">When it was answered or given up.</param>
/// <param name="Silo">The number of the silo whose gateway it needs; null if any will do.</param>
internal sealed record Outage(string Of, long Began, long Ended, int? Silo = null)
{
    /// <summary>A call that takes longer than this is to be explained.</summary>
    public static readonly TimeSpan Least = TimeSpan.FromSeconds(3);

    private const string Word = "outage";

    /// <summary>How long it took.</summary>
    public TimeSpan Length => Stopwatch.GetElapsedTime(Began, Ended);

    /// <summary>A call of the SDK that ends now; null where it was not long.</summary>
    public static Outage? Since(long began)
    {
        var outage = new Outage("calls", began, Stopwatch.GetTimestamp());
        return outage.Length > Least ? outage : null;
    }

    /// <summary>Parses what a client prints; null if the line says something else.</summary>
    /// <param name="of">What the client prints them of.</param>
    /// <param name="line">The line.</param>
    /// <param name="silo">The number of the silo whose gateway the client needs; null if any will do.</param>
    public static Outage? Parse(string of, string line, int? silo = null)
        => line.Split(' ') is [Word, var began, var ended] ? new Outage(of, long.Parse(began, CultureInfo.InvariantCulture), long.Parse(ended, CultureInfo.InvariantCulture), silo) : null;

    /// <inheritdoc/>
    public override string ToString() => string.Create(CultureInfo.InvariantCulture, $"{Word} {Began} {Ended}");
}
