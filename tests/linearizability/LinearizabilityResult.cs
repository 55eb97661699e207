using System.Diagnostics;

namespace IommuFd.Linearizability;

/// <summary>The verdict of a check.</summary>
internal enum Verdict
{
    /// <summary>There is an order of the operations, within their times, that explains all answers.</summary>
    Linearizable,

    /// <summary>There is no such order.</summary>
    Violation,

    /// <summary>The check reached its limit: nothing is proven either way.</summary>
    Unknown,
}

/// <summary>How much a check may cost. Each step runs one ioctl in the specification and keeps less than a kilobyte.</summary>
internal sealed record CheckLimits
{
    public long MaxSteps { get; init; } = 5_000_000;

    public TimeSpan MaxTime { get; init; } = TimeSpan.FromSeconds(60);
}

/// <summary>The cost of a check so far.</summary>
internal sealed class CheckBudget(CheckLimits limits)
{
    private const int StepsBetweenLooksAtTheTime = 1024;

    private readonly long _started = Stopwatch.GetTimestamp();
    private long _nextLook;

    /// <summary>Number of ioctls run by the specification.</summary>
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
/// <param name="Expected">What the specification answers instead.</param>
internal sealed record Obstacle(HistoryEntry Entry, IoctlAnswer Expected);

/// <summary>The result of a check, and its cost.</summary>
internal sealed record LinearizabilityResult
{
    public required Verdict Verdict { get; init; }

    /// <summary>The number of operations in the history, and how many of these have no answer.</summary>
    public required (int All, int Unanswered) Operations { get; init; }

    /// <summary>The longest order that fits: if the history is linearizable, it contains all operations that it must.</summary>
    public required IReadOnlyList<HistoryEntry> Prefix { get; init; }

    /// <summary>The state after the prefix, as the specification formats it.</summary>
    public required string State { get; init; }

    /// <summary>The operations that could have come after the prefix but do not fit; empty if the history is linearizable.</summary>
    public required IReadOnlyList<Obstacle> Obstacles { get; init; }

    public required long Steps { get; init; }

    public required TimeSpan Elapsed { get; init; }
}
