namespace IommuFd.Linearizability;

// Wing & Gong's search with Lowe's memoisation, as in Porcupine and Knossos: take an operation that may come next, if the specification
// answers what was observed; if none can be taken, put the last one back and try another. A history is linearizable if all answered
// operations are in the order.
//
// An operation with an unknown outcome (an unknown, for short) has no end, so it may come next at any time after its call, whatever the
// specification answers, or stay out. Tried at every time, a dozen of them would create thousands of indistinguishable states. But there is
// always an order in which each is as late as possible, and only such orders are searched: an unknown comes right before an answered
// operation that it affects, or before another unknown that does. An unknown that could as well come after that operation is not taken
// before it, and one that changes nothing is not taken at all. Of unknowns that ask for the same, the first sent goes first.

/// <summary>One search of one history.</summary>
/// <remarks>
/// Several unknowns in a row hardly ever matter, and trying all their sets costs most of the time. So their number in a row is limited; if
/// a search that left some out for that reason finds no order, another with a higher limit must follow.
/// </remarks>
internal sealed class LinearizabilitySearch<TState>
    where TState : IEquatable<TState>
{
    private readonly ISpecification<TState> _specification;
    private readonly CheckBudget _budget;
    private readonly IReadOnlyList<HistoryEntry> _entries;
    private readonly OperationList _open;
    private readonly int[] _unknowns;
    private readonly int[] _earlierTwin;
    private readonly OperationSet _answered;
    private readonly OperationSet _unknown;
    private readonly Configurations<TState> _configurations = new();

    // The operations taken, each with the state before it and what else could have been taken in its place.
    private readonly Stack<(int Operation, TState Before, IEnumerator<int> Alternatives)> _order = [];
    private readonly int _mostInARow;
    private TState _state;
    private int _inARow;
    private int[] _longest = [];
    private bool _isLongest = true;
    private int _longestAnswered;

    public LinearizabilitySearch(ISpecification<TState> specification, CheckBudget budget, IReadOnlyList<HistoryEntry> entries, int mostInARow)
    {
        _specification = specification;
        _budget = budget;
        _mostInARow = mostInARow;
        _entries = entries;
        _open = new OperationList(entries);
        _unknowns = [.. Enumerable.Range(0, entries.Count).Where(i => entries[i].Completed is null)];
        _earlierTwin = FindTwins(entries);
        _answered = new OperationSet(entries.Count);
        _unknown = new OperationSet(entries.Count);
        _state = specification.Initial;
    }

    /// <summary>Whether unknowns were left out because of the limit in a row. If so, finding no order proves nothing.</summary>
    public bool WasRestricted { get; private set; }

    public LinearizabilityResult Run()
    {
        var answered = _entries.Count - _unknowns.Length;
        var candidates = Candidates().GetEnumerator();
        while (_answered.Count < answered)
        {
            if (_budget.IsSpent)
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

    // The enumeration resumes when the list is as it was: everything taken in between has been put back.
    private IEnumerable<int> Candidates()
    {
        // The operation that ended first usually ran first.
        var next = _open.First;
        var running = new List<int>();
        for (; next is { IsCall: true }; next = next.Next)
        {
            running.Add(next.Operation);
        }

        running.Sort((left, right) => _entries[left].Completed!.Value.CompareTo(_entries[right].Completed!.Value));
        foreach (var operation in running)
        {
            // An operation that fits now, and can never change anything, can come now whatever else is in the order: no alternative needs
            // to be tried. That it changes nothing now is not enough: it may be needed later, where it does.
            if (!_specification.ChangesNothing(_entries[operation].Ioctl, _entries[operation].Answer))
            {
                continue;
            }

            var (after, answer) = Apply(_state, operation);
            if (answer == _entries[operation].Answer && !CanAnUnknownWait(operation, after))
            {
                yield return operation;
                yield break;
            }
        }

        foreach (var operation in running)
        {
            yield return operation;
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
        var entry = _entries[operation];
        var isAnswered = entry.Completed is not null;
        if (!isAnswered && _inARow == _mostInARow)
        {
            WasRestricted = true;
            return false;
        }

        var (next, answer) = Apply(_state, operation);
        if (isAnswered ? answer != entry.Answer || CanAnUnknownWait(operation, next) : next.Equals(_state))
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
        _inARow = isAnswered ? 0 : _inARow + 1;
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

        _inARow = UnknownsInARow().Count();
        return alternatives;
    }

    // Whether one of the unknowns taken last could as well come after an answered operation, with the same answer and the same state after both.
    private bool CanAnUnknownWait(int answered, TState after)
    {
        if (_inARow == 0)
        {
            return false;
        }

        var row = UnknownsInARow().Reverse().ToArray();
        return Array.Exists(row, waiting =>
        {
            var before = row.Where(step => step.Operation != waiting.Operation).Aggregate(row[0].Before, (state, step) => Apply(state, step.Operation).Next);
            var (next, answer) = Apply(before, answered);
            return answer == _entries[answered].Answer && Apply(next, waiting.Operation).Next.Equals(after);
        });
    }

    // Latest first.
    private IEnumerable<(int Operation, TState Before, IEnumerator<int> Alternatives)> UnknownsInARow()
        => _order.TakeWhile(step => _entries[step.Operation].Completed is null);

    private (TState Next, IoctlAnswer Answer) Apply(TState state, int operation)
    {
        _budget.Steps++;
        return _specification.Apply(state, _entries[operation].Ioctl);
    }

    // The longest order is copied only when the search turns back from it. Unknowns at its end were tried in vain.
    private void KeepLongest()
    {
        if (_isLongest)
        {
            _isLongest = false;
            _longest = [.. _order.Select(step => step.Operation).SkipWhile(operation => _entries[operation].Completed is null).Reverse()];
        }
    }

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
            Steps = _budget.Steps,
            Elapsed = _budget.Elapsed,
        };
    }

    // No answered operation that fits can come after the longest order, or there would be a longer one.
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

    // For each unknown, the previous one that asks for the same; -1 for none.
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
