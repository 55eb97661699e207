namespace IommuFd.Linearizability;

/// <summary>The call or the return of an answered operation.</summary>
internal sealed class OperationEvent(int operation, bool isCall)
{
    /// <summary>The operation's index in the history.</summary>
    public int Operation { get; } = operation;

    public bool IsCall { get; } = isCall;

    public OperationEvent? Previous { get; set; }

    public OperationEvent? Next { get; set; }
}

/// <summary>
/// The calls and returns of the answered operations that are not linearized yet, by time, doubly linked. The calls before the first return
/// may come next. An operation is lifted out when it is taken, and put back, in reverse order, if that led nowhere.
/// </summary>
internal sealed class OperationList
{
    private readonly OperationEvent _head = new(-1, isCall: true);
    private readonly (OperationEvent Call, OperationEvent Return)[] _events;

    public OperationList(IReadOnlyList<HistoryEntry> entries)
    {
        _events = [.. entries.Select((_, i) => (new OperationEvent(i, isCall: true), new OperationEvent(i, isCall: false)))];

        // Of a call and a return at the same time, either may have been first; with the call first the two overlap, which is the weakest
        // assumption.
        var byTime = entries
            .Select((entry, i) => (entry.Invoked, entry.Completed, _events[i].Call, _events[i].Return))
            .Where(operation => operation.Completed is not null)
            .SelectMany(operation => new[] { (Time: operation.Invoked, Event: operation.Call), (Time: operation.Completed!.Value, Event: operation.Return) })
            .OrderBy(pair => pair.Time)
            .ThenBy(pair => !pair.Event.IsCall);
        var last = _head;
        foreach (var (_, next) in byTime)
        {
            last.Next = next;
            next.Previous = last;
            last = next;
        }
    }

    public OperationEvent? First => _head.Next;

    /// <summary>Lifts the call and the return of an operation out.</summary>
    public void Lift(int operation)
    {
        var (call, completion) = _events[operation];
        Unlink(call);
        Unlink(completion);
    }

    /// <summary>Puts back what was lifted out last.</summary>
    public void Unlift(int operation)
    {
        var (call, completion) = _events[operation];
        Link(completion);
        Link(call);
    }

    private static void Unlink(OperationEvent entry)
    {
        entry.Previous!.Next = entry.Next;
        if (entry.Next is { } next)
        {
            next.Previous = entry.Previous;
        }
    }

    private static void Link(OperationEvent entry)
    {
        entry.Previous!.Next = entry;
        if (entry.Next is { } next)
        {
            next.Previous = entry;
        }
    }
}
