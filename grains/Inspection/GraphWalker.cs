using IommuFd.GrainInterfaces;
using IommuFd.Grains.Model;
using IommuFd.Uapi;

namespace IommuFd.Grains.Inspection;

// The table's holds as a graph for people. It is read in one step, so that it is one state of the context.

/// <summary>Follows who holds whom.</summary>
internal sealed class GraphWalker
{
    private readonly int _limit;
    private readonly Dictionary<HoldOwner, int> _places = [];
    private readonly List<HoldOwner> _owners = [];
    private readonly List<(Hold Hold, int Holder, int Held)> _edges = [];
    private long _bytes;
    private bool _isTruncated;

    private GraphWalker(int limit) => _limit = limit;

    public static HolderGraph Walk(ContextModel context, GraphRequest request)
    {
        var walker = new GraphWalker(Math.Clamp(request.Limit, 1, IoctlLimits.MaxInspectionPage));
        if (request.Root == default)
        {
            walker.TakeAll(context);
        }
        else if (context.Objects.Find(request.Root.Value) is { } root)
        {
            walker.TakeFrom(root, request.Direction);
        }
        else
        {
            return new HolderGraph { Errno = Errno.ENOENT };
        }

        return new HolderGraph
        {
            Nodes = [.. walker._owners.Select(Show)],
            Edges = [.. walker._edges.Select(edge => new GraphEdge(edge.Holder, edge.Held, edge.Hold.Why))],
            IsTruncated = walker._isTruncated,
        };
    }

    private void TakeAll(ContextModel context)
    {
        foreach (var owner in context.HoldingDrivers.Concat<HoldOwner>(context.Objects.After(0)))
        {
            if (!TryTake(owner, out _))
            {
                break;
            }
        }

        for (var place = 0; place < _owners.Count; place++)
        {
            foreach (var hold in _owners[place].Held())
            {
                if (_places.TryGetValue(hold.Target, out var held) && !TryAdd(hold, place, held))
                {
                    return;
                }
            }
        }
    }

    private void TakeFrom(ObjectEntry root, GraphDirection direction)
    {
        TryTake(root, out var start);
        if (direction.HasFlag(GraphDirection.Holders))
        {
            Follow(start, VisibleHolders, static hold => hold.Owner, (hold, from, to) => TryAdd(hold, to, from));
        }

        if (direction.HasFlag(GraphDirection.Held))
        {
            Follow(start, static owner => owner.Held(), static hold => hold.Target, (hold, from, to) => TryAdd(hold, from, to));
        }
    }

    // Breadth first, so that what is near comes before what is far.
    private void Follow(int start, Func<HoldOwner, IEnumerable<Hold>> holds, Func<Hold, HoldOwner> next, Func<Hold, int, int, bool> add)
    {
        var queue = new Queue<int>([start]);
        var seen = new HashSet<int> { start };
        while (queue.TryDequeue(out var from))
        {
            foreach (var hold in holds(_owners[from]))
            {
                if (!TryTake(next(hold), out var to))
                {
                    continue;
                }

                if (!add(hold, from, to))
                {
                    return;
                }

                if (seen.Add(to))
                {
                    queue.Enqueue(to);
                }
            }
        }
    }

    private bool TryTake(HoldOwner owner, out int place)
    {
        if (_places.TryGetValue(owner, out place))
        {
            return true;
        }

        if (_owners.Count == _limit || IsFull)
        {
            _isTruncated = true;
            return false;
        }

        place = _owners.Count;
        _places.Add(owner, place);
        _owners.Add(owner);
        _bytes += WireSize.Flat + WireSize.Of(NameOf(owner));
        return true;
    }

    // A driver can hold one object as often as it likes.
    private bool TryAdd(Hold hold, int holder, int held)
    {
        if (IsFull)
        {
            _isTruncated = true;
            return false;
        }

        _edges.Add((hold, holder, held));
        _bytes += WireSize.Flat + WireSize.Of(hold.Why);
        return true;
    }

    private bool IsFull => _bytes > IoctlLimits.MaxPageBytes;

    private static string NameOf(HoldOwner owner) => owner is ObjectEntry entry ? entry.Name : owner is ContextReference reference ? reference.Name : "";

    // An object that is still being built may hold already, but no request can see it.
    private static IEnumerable<Hold> VisibleHolders(HoldOwner owner)
        => owner is ObjectEntry entry ? entry.Holders().Where(static hold => hold.Owner is not ObjectEntry { IsFinalized: false }) : [];

    private static GraphNode Show(HoldOwner owner) => owner switch
    {
        ObjectEntry entry => new GraphNode(entry.Ref, default, entry.Name, entry.Users, entry.Kind.Style),
        ContextReference reference => new GraphNode(default, reference.Id, reference.Name, 0, DrawingStyle.Driver),
        _ => throw new ArgumentOutOfRangeException(nameof(owner), owner, "No such holder."),
    };
}
