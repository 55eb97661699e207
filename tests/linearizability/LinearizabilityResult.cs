using System.Diagnostics;

namespace IommuFd.Linearizability;

/// <summary>What a check found.</summary>
internal enum Verdict
{
    /// <summary>There is an order of the operations, within their times, that explains all answers.</summary>
    Linearizable,

    /// <summary>There is none.</summary>
    Violation,

    /// <summary>The check reached its limit before it knew: nothing is proven either way.</summary>
    Unknown,
}

/// <summary>How much a check may cost. Each step does one ioctl in the specification and keeps less than a kilobyte.</summary>
internal sealed record CheckLimits
{
    public long MaxSteps { get; init; } = 5_000_000;

    public TimeSpan MaxTime { get; init; } = TimeSpan.FromSeconds(60);
}

/// <summary>What a check has cost.</summary>
internal sealed class CheckBudget(CheckLimits limits)
{
    private const int StepsBetweenLooksAtTheTime = 1024;

    private readonly long _started = Stopwatch.GetTimestamp();
    private long _nextLook;

    /// <summary>Ioctls that the specification has done.</summary>
    public long Steps { get; set; }

    public TimeSpan Elapsed => Stopwatch.GetElapsedTime(_started);

    public bool IsSpent
    {
        get
        {
            if (Steps >= limits.MaxSteps)
            {
                return true;
            }

            if (Steps >= _nextLook)
            {
                _nextLook = Steps + StepsBetweenLooksAtTheTime;
                return Elapsed > limits.MaxTime;
            }

            return false;
        }
    }
}

/// <summary>An operation that can't come next.</summary>
/// <param name="Entry">The operation, with the answer that was observed.</param>
/// <param name="Expected">What the specification answers in its place.</param>
internal sealed record Obstacle(HistoryEntry Entry, IoctlAnswer Expected);

/// <summary>What a check found, and how.</summary>
internal sealed record LinearizabilityResult
{
    public required Verdict Verdict { get; init; }

    /// <summary>Operations of the history, and how many of these have no answer.</summary>
    public required (int All, int Unanswered) Operations { get; init; }

    /// <summary>The most operations that could be put into an order: all that must be, where the history is linearizable.</summary>
    public required IReadOnlyList<HistoryEntry> Prefix { get; init; }

    /// <summary>The state behind the prefix, as the specification writes it.</summary>
    public required string State { get; init; }

    /// <summary>What could have come behind the prefix and does not fit; empty where the history is linearizable.</summary>
    public required IReadOnlyList<Obstacle> Obstacles { get; init; }

    public required long Steps { get; init; }

    public required TimeSpan Elapsed { get; init; }
}
