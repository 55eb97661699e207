using IommuFd.Linearizability;
using Ioctl = IommuFd.Linearizability.Ioctl;

namespace IommuFd.UnitTests.Linearizability;

/// <summary>What is wrong with a simulated service.</summary>
public enum Flaw
{
    None,

    /// <summary>What an acknowledged operation has changed is lost.</summary>
    Loses,

    /// <summary>An operation is done twice, and answered for the first time.</summary>
    Repeats,

    /// <summary>An answer comes from a copy of the state that is some changes old, and changes nothing.</summary>
    AnswersFromACopy,
}

/// <summary>
/// Clients that ask a service which does one ioctl after the other, with everything in the order that a seed says: when each asks, when it is done, and when the
/// answer is there. Some answers never come; then the client goes on, and the ioctl is done at any time later, or never.
/// </summary>
internal sealed class SimulatedService(int seed, Flaw flaw = Flaw.None, int clients = 5, double lost = 0.02)
{
    // Every so many changes the flaw shows; a change that is undone by chance, or seen by nobody, would go unnoticed otherwise.
    private const int ChangesBetweenFlaws = 12;
    private const int AgeOfACopy = 5;

    private readonly Random _random = new(seed);
    private readonly ContextSpecification _specification = new();
    private readonly List<HistoryEntry> _entries = [];
    private readonly List<Pending> _pending = [];
    private readonly Queue<ContextState> _copies = [];
    private ContextState _state = ContextState.Empty;
    private int _changesSinceFlaw;
    private long _now;

    /// <summary>Lets the clients ask so many times in all.</summary>
    public History Run(int operations)
    {
        var mixes = Enumerable.Range(0, clients).Select(i => new IoctlMix((seed * 100) + i, 0x7000_0000, IoctlMix.LeastPages)).ToArray();
        var sent = 0;
        while (sent < operations || _pending.Exists(pending => !pending.IsGivenUp))
        {
            _now += _random.Next(2);
            var client = _random.Next(clients);
            if (_random.Next(40) == 0 && _pending.Find(pending => pending.IsGivenUp) is { } late)
            {
                _pending.Remove(late);
                _state = _random.Next(2) == 0 ? _specification.Apply(_state, late.Ioctl).Next : _state;
            }
            else if (_pending.Find(pending => pending.Client == client && !pending.IsGivenUp) is { } pending)
            {
                Advance(pending, mixes[client]);
            }
            else if (sent < operations)
            {
                sent++;
                _pending.Add(new Pending { Client = client, Invoked = _now, Ioctl = mixes[client].Next() });
            }
        }

        return new History(_entries);
    }

    private void Advance(Pending pending, IoctlMix mix)
    {
        if (_random.NextDouble() < lost)
        {
            _entries.Add(pending.ToEntry(null));
            pending.IsGivenUp = true;
            if (pending.Answer is not null)
            {
                _pending.Remove(pending);
            }
        }
        else if (pending.Answer is { } answer)
        {
            _entries.Add(pending.ToEntry(_now));
            _pending.Remove(pending);
            mix.Learn(pending.Ioctl, answer);
        }
        else
        {
            pending.Answer = Do(pending.Ioctl);
        }
    }

    private IoctlAnswer Do(Ioctl ioctl)
    {
        var (next, answer) = _specification.Apply(_state, ioctl);
        if (next.Equals(_state))
        {
            return answer;
        }

        _copies.Enqueue(_state);
        var copy = _copies.Count > AgeOfACopy ? _copies.Dequeue() : ContextState.Empty;
        var twice = _specification.Apply(next, ioctl).Next;
        if (++_changesSinceFlaw >= ChangesBetweenFlaws && (flaw != Flaw.Repeats || !twice.Equals(next)))
        {
            _changesSinceFlaw = 0;
            switch (flaw)
            {
                case Flaw.Loses:
                    return answer;

                case Flaw.Repeats:
                    _state = twice;
                    return answer;

                case Flaw.AnswersFromACopy:
                    return _specification.Apply(copy, ioctl).Answer;
            }
        }

        _state = next;
        return answer;
    }

    private sealed class Pending
    {
        public required int Client { get; init; }

        public required long Invoked { get; init; }

        public required Ioctl Ioctl { get; init; }

        public IoctlAnswer? Answer { get; set; }

        public bool IsGivenUp { get; set; }

        public HistoryEntry ToEntry(long? completed) => new() { Client = Client, Invoked = Invoked, Completed = completed, Ioctl = Ioctl, Answer = completed is null ? new(0) : Answer!.Value };
    }
}
