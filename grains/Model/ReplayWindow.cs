using IommuFd.GrainInterfaces;
using IommuFd.Grains.Encoding;

namespace IommuFd.Grains.Model;

// The answers that a session may ask for again. Pure and synchronous. A session's requests are numbered; it says with each which of them are settled,
// up to where it needs no answer any more. So the window needs no clock and no eviction: it is as large as what is under way.
//
// Always: every kept number is greater than Settled, and there are at most IoctlLimits.MaxUnsettled. What is settled is never done again, however late it comes.

/// <summary>How a request stands to what its session has asked before.</summary>
internal enum OperationStanding
{
    /// <summary>It is to be done.</summary>
    New,

    /// <summary>It was done, and its answer is known.</summary>
    Answered,

    /// <summary>It is settled: its sender no longer waits.</summary>
    Settled,

    /// <summary>The session has too many unsettled answers.</summary>
    Full,
}

/// <summary>The answers of a session that it may ask for again.</summary>
internal sealed class ReplayWindow
{
    private readonly Dictionary<long, object> _answers = [];

    /// <summary>Bytes of the answers that are kept, about.</summary>
    public long Bytes { get; private set; }

    /// <summary>Every request up to this number is settled.</summary>
    public long Settled { get; private set; }

    /// <summary>The answers that are kept, by number.</summary>
    public IReadOnlyDictionary<long, object> Answers => _answers;

    /// <summary>Restores a window.</summary>
    public static ReplayWindow Restore(ReplaySnapshot snapshot)
    {
        var window = new ReplayWindow { Settled = snapshot.Settled };
        var sequences = snapshot.Sequences.Read();
        foreach (var answer in snapshot.Answers ?? [])
        {
            SnapshotFormat.Require(answer is IoctlReply or IoctlBatchReply or DriverReply or FileReply, "A saved answer is of an unknown type.");
            var sequence = sequences.Next<long>();
            SnapshotFormat.Require(sequence > snapshot.Settled && !window._answers.ContainsKey(sequence), "A request has two answers, or is settled.");
            window.Keep(sequence, answer);
        }

        sequences.End();
        SnapshotFormat.Require(window._answers.Count <= IoctlLimits.MaxUnsettled, "A session has too many unsettled answers.");
        return window;
    }

    /// <summary>Saves the window; null where it was never used.</summary>
    public ReplaySnapshot? Save()
    {
        if (Settled == 0 && _answers.Count == 0)
        {
            return null;
        }

        var answers = _answers.OrderBy(answer => answer.Key).ToList();
        var sequences = new ColumnWriter();
        answers.ForEach(answer => sequences.Add((ulong)answer.Key));
        return new ReplaySnapshot { Settled = Settled, Sequences = sequences.ToColumn(), Answers = answers.Count == 0 ? null : [.. answers.Select(answer => answer.Value)] };
    }

    /// <summary>Finds out what to do with a request, and forgets what it says is settled.</summary>
    /// <param name="operation">The request's name.</param>
    /// <param name="answer">What it was answered, where it was.</param>
    public OperationStanding Begin(in OperationId operation, out object? answer)
    {
        answer = null;
        if (operation.Settled > Settled)
        {
            Settle(Math.Min(operation.Settled, operation.Sequence - 1));
        }

        if (operation.Sequence <= Settled)
        {
            return OperationStanding.Settled;
        }

        if (_answers.Count == 0)
        {
            return OperationStanding.New;
        }

        return _answers.TryGetValue(operation.Sequence, out answer) ? OperationStanding.Answered
            : _answers.Count >= IoctlLimits.MaxUnsettled ? OperationStanding.Full : OperationStanding.New;
    }

    /// <summary>Keeps an answer until it is settled.</summary>
    public void Keep(long sequence, object answer)
    {
        _answers[sequence] = answer;
        Bytes += WireSize.Of(answer);
    }

    private void Settle(long settled)
    {
        if (settled <= Settled)
        {
            return;
        }

        // Numbers come nearly in order, so that the next one is nearly always the only one to forget.
        if (settled - Settled > IoctlLimits.MaxUnsettled)
        {
            ForgetUpTo(settled);
        }
        else
        {
            for (var sequence = Settled + 1; sequence <= settled && _answers.Count > 0; sequence++)
            {
                Forget(sequence);
            }
        }

        Settled = settled;
    }

    private void ForgetUpTo(long settled)
    {
        foreach (var sequence in _answers.Keys.Where(sequence => sequence <= settled).ToList())
        {
            Forget(sequence);
        }
    }

    private void Forget(long sequence)
    {
        if (_answers.Remove(sequence, out var answer))
        {
            Bytes -= WireSize.Of(answer);
        }
    }
}
