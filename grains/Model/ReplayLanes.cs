using IommuFd.GrainInterfaces;
using IommuFd.Grains.Encoding;

namespace IommuFd.Grains.Model;

// A session has one sequence of requests, and one more for each lane that it names: those of the threads and processes that share a descriptor.
// A lane has no end that its session is told, so there is a bound: the one that was not used for longest goes.
//
// Always: at most IoctlLimits.MaxLanes lanes; and where there are several, their answers have at most MaxBytes.

/// <summary>The answers that a session may ask for again, by lane.</summary>
internal sealed class ReplayLanes
{
    /// <summary>Bytes of the answers that lanes keep.</summary>
    public const int MaxBytes = 4 << 20;

    private readonly Dictionary<long, LinkedListNode<Lane>> _lanes = [];
    private readonly LinkedList<Lane> _byUse = [];
    private ReplayWindow? _own;
    private long _laneBytes;

    /// <summary>The requests without a lane.</summary>
    public ReplayWindow Own => _own ??= new ReplayWindow();

    /// <summary>How many lanes there are.</summary>
    public int Count => _lanes.Count;

    /// <summary>Restores the answers.</summary>
    /// <param name="own">Those of requests without a lane; null for none.</param>
    /// <param name="lanes">The lanes, the longest unused first; null for none.</param>
    public static ReplayLanes Restore(ReplaySnapshot? own, LaneSnapshot[]? lanes)
    {
        var restored = new ReplayLanes { _own = own is null ? null : ReplayWindow.Restore(own) };
        SnapshotFormat.Require(lanes is null || lanes.Length <= IoctlLimits.MaxLanes, "A session has too many lanes.");
        foreach (var lane in lanes ?? [])
        {
            SnapshotFormat.Require(lane.Lane != 0 && !restored._lanes.ContainsKey(lane.Lane), "A lane has no number, or that of another.");
            restored.Add(new Lane(lane.Lane, ReplayWindow.Restore(SnapshotFormat.Expect<ReplaySnapshot>(lane.Replies))));
        }

        return restored;
    }

    /// <summary>Saves the answers to requests without a lane; null where there were none.</summary>
    public ReplaySnapshot? Save() => _own?.Save();

    /// <summary>Saves the lanes; null for none.</summary>
    public LaneSnapshot[]? SaveLanes()
    {
        List<LaneSnapshot> lanes = [];
        foreach (var lane in _byUse)
        {
            if (lane.Window.Save() is { } replies)
            {
                lanes.Add(new LaneSnapshot { Lane = lane.Number, Replies = replies });
            }
        }

        return lanes.Count == 0 ? null : [.. lanes];
    }

    /// <summary>Finds out what to do with a request, and forgets what it says is settled.</summary>
    /// <param name="operation">The request's name.</param>
    /// <param name="answer">What it was answered, where it was.</param>
    /// <param name="bytes">Bytes of the answers that are kept for its sequence.</param>
    public OperationStanding Begin(in OperationId operation, out object? answer, out long bytes)
    {
        if (operation.Lane == 0)
        {
            var own = Own.Begin(operation, out answer);
            bytes = Own.Bytes;
            return own;
        }

        var window = Use(operation.Lane);
        var before = window.Bytes;
        var standing = window.Begin(operation, out answer);
        bytes = window.Bytes;
        _laneBytes += bytes - before;
        return standing;
    }

    /// <summary>Keeps an answer until it is settled.</summary>
    public void Keep(in OperationId operation, object answer)
    {
        if (operation.Lane == 0)
        {
            Own.Keep(operation.Sequence, answer);
            return;
        }

        var window = Use(operation.Lane);
        var before = window.Bytes;
        window.Keep(operation.Sequence, answer);
        _laneBytes += window.Bytes - before;
        while (_laneBytes > MaxBytes && _lanes.Count > 1)
        {
            RemoveLongestUnused();
        }
    }

    private ReplayWindow Use(long number)
    {
        if (_lanes.TryGetValue(number, out var used))
        {
            if (used.Next is not null)
            {
                _byUse.Remove(used);
                _byUse.AddLast(used);
            }

            return used.Value.Window;
        }

        if (_lanes.Count == IoctlLimits.MaxLanes)
        {
            RemoveLongestUnused();
        }

        return Add(new Lane(number, new ReplayWindow()));
    }

    private ReplayWindow Add(Lane lane)
    {
        _lanes.Add(lane.Number, _byUse.AddLast(lane));
        _laneBytes += lane.Window.Bytes;
        return lane.Window;
    }

    private void RemoveLongestUnused()
    {
        var lane = _byUse.First!.Value;
        _byUse.RemoveFirst();
        _lanes.Remove(lane.Number);
        _laneBytes -= lane.Window.Bytes;
    }

    /// <summary>A lane.</summary>
    private readonly record struct Lane(long Number, ReplayWindow Window);
}
