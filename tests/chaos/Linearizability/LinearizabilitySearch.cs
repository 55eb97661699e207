using System.Diagnostics;

namespace IommuFd.Chaos.Linearizability;

// Wing & Gong's search with Lowe's memoisation, as in Porcupine and Knossos: take an operation that may come next, where the specification answers what was
// observed; where none can be taken, put the last one back and try another. A history is linearizable when all operations that were answered are in the order.
//
// An operation with an unknown outcome has no end, so that it may come next at any time after its call, whatever the specification answers, or stay out. It is
// tried after those that were answered: what it did shows where one of these does not fit, and then it is best taken just before. Taking one that
// changes nothing is the same as leaving it out; and of those that ask for the same, the first that was sent is as good as any.

/// <summary>One check of one history.</summary>
internal sealed class LinearizabilitySearch<TState>
    where TState : IEquatable<TState>
{
    private const int StepsBetweenLooksAtTheTime = 1024;

    private readonly ISpecification<TState> _specification;
    private readonly CheckLimits _limits;
    private readonly IReadOnlyList<HistoryEntry> _entries;
    private readonly OperationList _open;
    private readonly int[] _unknowns;
    private readonly int[] _earlierTwin;
    private readonly OperationSet _answered;
    private readonly OperationSet _unknown;
    private readonly Configurations<TState> _configurations = new();

    // The operations taken, each with the state before it and what else could have been taken in its place.
    private readonly Stack<(int Operation, TState Before, IEnumerator<int> Alternatives)> _order = [];
    private readonly long _started = Stopwatch.GetTimestamp();
    private TState _state;
    private long _steps;
    private int[] _longest = [];
    private bool _isLongest = true;
    private int _longestAnswered;

    public LinearizabilitySearch(ISpecification<TState> specification, CheckLimits limits, IReadOnlyList<HistoryEntry> entries)
    {
        _specification = specification;
        _limits = limits;
        _entries = entries;
        _open = new OperationList(entries);
        _unknowns = [.. Enumerable.Range(0, entries.Count).Where(i => entries[i].Completed is null)];
        _earlierTwin = FindTwins(entries);
        _answered = new OperationSet(entries.Count);
        _unknown = new OperationSet(entries.Count);
        _state = specification.Initial;
    }

    public LinearizabilityResult Run()
    {
        var answered = _entries.Count - _unknowns.Length;
        var candidates = Candidates().GetEnumerator();
        while (_answered.Count < answered)
        {
            if (IsOverLimit())
            {
                return Result(Verdict.Unknown);
            }

            if (candidates.MoveNext())
            {
                if (TryTake(candidates.Current, candidates))
                {
                    candidates = Candidates().GetEnumerator();
                }
            }
            else if (_order.Count > 0)
            {
                candidates = PutBack();
            }
            else
            {
                return Result(Verdict.Violation);
            }
        }

        return Result(Verdict.Linearizable);
    }

    // Lazily, and gone on with when the list is again as it was: what was taken in between has been put back.
    private IEnumerable<int> Candidates()
    {
        var next = _open.First;
        for (; next is { IsCall: true }; next = next.Next)
        {
            yield return next.Operation;
        }

        var firstReturn = next is null ? long.MaxValue : _entries[next.Operation].Completed!.Value;
        foreach (var operation in _unknowns)
        {
            if (_entries[operation].Invoked > firstReturn)
            {
                break;
            }

            if (!_unknown.Contains(operation) && (_earlierTwin[operation] < 0 || _unknown.Contains(_earlierTwin[operation])))
            {
                yield return operation;
            }
        }
    }

    private bool TryTake(int operation, IEnumerator<int> alternatives)
    {
        _steps++;
        var entry = _entries[operation];
        var isAnswered = entry.Completed is not null;
        var (next, answer) = _specification.Apply(_state, entry.Ioctl);
        if (isAnswered ? answer != entry.Answer : next.Equals(_state))
        {
            return false;
        }

        var set = isAnswered ? _answered : _unknown;
        set.Add(operation);
        if (!_configurations.TryAdd(_answered, _unknown, next))
        {
            set.Remove(operation);
            return false;
        }

        if (isAnswered)
        {
            _open.Lift(operation);
        }

        _order.Push((operation, _state, alternatives));
        _state = next;
        if (_answered.Count > _longestAnswered)
        {
            _longestAnswered = _answered.Count;
            _isLongest = true;
        }

        return true;
    }

    private IEnumerator<int> PutBack()
    {
        KeepLongest();
        var (operation, before, alternatives) = _order.Pop();
        _state = before;
        if (_entries[operation].Completed is null)
        {
            _unknown.Remove(operation);
        }
        else
        {
            _answered.Remove(operation);
            _open.Unlift(operation);
        }

        return alternatives;
    }

    // The longest order is copied only where the search turns back from it. Operations with unknown outcomes at its end were tried in vain.
    private void KeepLongest()
    {
        if (_isLongest)
        {
            _isLongest = false;
            _longest = [.. _order.Select(step => step.Operation).SkipWhile(operation => _entries[operation].Completed is null).Reverse()];
        }
    }

    private bool IsOverLimit()
        => _steps >= _limits.MaxSteps || (_steps % StepsBetweenLooksAtTheTime == 0 && Stopwatch.GetElapsedTime(_started) > _limits.MaxTime);

    private LinearizabilityResult Result(Verdict verdict)
    {
        KeepLongest();
        var state = _longest.Aggregate(_specification.Initial, (state, operation) => _specification.Apply(state, _entries[operation].Ioctl).Next);
        return new LinearizabilityResult
        {
            Verdict = verdict,
            Operations = (_entries.Count, _unknowns.Length),
            Prefix = [.. _longest.Select(operation => _entries[operation])],
            State = $"{state}",
            Obstacles = verdict == Verdict.Linearizable ? [] : FindObstacles(state),
            Steps = _steps,
            Elapsed = Stopwatch.GetElapsedTime(_started),
        };
    }

    // Nothing that was answered and fits can come behind the longest order: there would be a longer one.
    private Obstacle[] FindObstacles(TState state)
    {
        var taken = _longest.ToHashSet();
        var open = Enumerable.Range(0, _entries.Count).Where(i => !taken.Contains(i) && _entries[i].Completed is not null).Select(i => _entries[i]).ToList();
        var firstReturn = open.Min(entry => entry.Completed);
        return
        [
            .. open
                .TakeWhile(entry => entry.Invoked <= firstReturn)
                .Select(entry => new Obstacle(entry, _specification.Apply(state, entry.Ioctl).Answer))
                .Where(obstacle => obstacle.Expected != obstacle.Entry.Answer),
        ];
    }

    // For each operation with an unknown outcome the one before it that asks for the same; -1 for none.
    private static int[] FindTwins(IReadOnlyList<HistoryEntry> entries)
    {
        var last = new Dictionary<Ioctl, int>();
        var twins = new int[entries.Count];
        for (var i = 0; i < entries.Count; i++)
        {
            twins[i] = -1;
            if (entries[i].Completed is null)
            {
                twins[i] = last.GetValueOrDefault(entries[i].Ioctl, -1);
                last[entries[i].Ioctl] = i;
            }
        }

        return twins;
    }
}
