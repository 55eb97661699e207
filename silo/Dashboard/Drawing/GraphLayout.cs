using IommuFd.GrainInterfaces;

namespace IommuFd.Silo.Dashboard.Drawing;

// A small Sugiyama layout: holders are left of what they hold. A node's layer is the longest path to it, and at least its style's rank, so that
// nodes of a style line up. An edge across several layers gets a place of its own in each, so that it does not run over nodes. Then each layer
// is sorted by the mean position of its nodes' neighbours, back and forth a few times, which leaves few crossings.

/// <summary>Where the nodes and edges of a holder graph are drawn, in pixels.</summary>
public sealed class GraphLayout
{
    public const int NodeWidth = 156, NodeHeight = 46;

    private const int LayerGap = 84, RowGap = 18, Margin = 12, Sweeps = 6;

    private readonly List<Place> _places = [];

    private GraphLayout(HolderGraph graph) => Graph = graph;

    public HolderGraph Graph { get; }

    public IReadOnlyList<PlacedNode> Nodes { get; private set; } = [];

    public IReadOnlyList<PlacedEdge> Edges { get; private set; } = [];

    public int Width { get; private set; }

    public int Height { get; private set; }

    public static GraphLayout Of(HolderGraph graph)
    {
        var layout = new GraphLayout(graph);
        layout.Run();
        return layout;
    }

    private void Run()
    {
        var layers = Layers();
        foreach (var layer in layers)
        {
            _places.Add(new Place(layer, NodeHeight));
        }

        // Several holds between the same two nodes are one line.
        var chains = Graph.Edges.GroupBy(edge => (edge.Holder, edge.Held)).Select(group => (Places: Chain(group.Key.Holder, group.Key.Held), Edges: group.ToList())).ToList();
        foreach (var (chain, _) in chains)
        {
            for (var i = 1; i < chain.Length; i++)
            {
                _places[chain[i - 1]].Right.Add(chain[i]);
                _places[chain[i]].Left.Add(chain[i - 1]);
            }
        }

        var columns = Enumerable.Range(0, layers.DefaultIfEmpty(0).Max() + 1).Select(layer => Enumerable.Range(0, _places.Count).Where(place => _places[place].Layer == layer).ToList()).ToList();
        Order(columns);
        Position(columns);
        Nodes = [.. Graph.Nodes.Select((node, i) => new PlacedNode(i, node, _places[i].X, _places[i].Y))];
        Edges = [.. chains.Select(chain => new PlacedEdge(chain.Edges[0].Holder, chain.Edges[0].Held, string.Join(", ", chain.Edges.Select(edge => edge.Why).Distinct()), chain.Edges.Count, Line(chain.Places)))];
        Width = (columns.Count * (NodeWidth + LayerGap)) - LayerGap + (2 * Margin);
        Height = (int)_places.Select(place => place.Y + NodeHeight).DefaultIfEmpty(0).Max() + Margin;
    }

    private int[] Layers()
    {
        var layers = Graph.Nodes.Select(Rank).ToArray();

        // Holds have no cycles; if a bug makes one, the loop still ends.
        for (var round = 0; round < layers.Length; round++)
        {
            var isDone = true;
            foreach (var edge in Graph.Edges)
            {
                if (layers[edge.Held] <= layers[edge.Holder] && layers[edge.Holder] < layers.Length + 4)
                {
                    layers[edge.Held] = layers[edge.Holder] + 1;
                    isDone = false;
                }
            }

            if (isDone)
            {
                break;
            }
        }

        // Empty layers get no column.
        var used = layers.Distinct().Order().ToList();
        return [.. layers.Select(layer => used.IndexOf(layer))];
    }

    private static int Rank(GraphNode node) => node.Style switch
    {
        DrawingStyle.Device or DrawingStyle.Access => 1,
        DrawingStyle.PageTable => 2,
        DrawingStyle.Memory => 3,
        _ => 0,
    };

    private int[] Chain(int holder, int held)
    {
        var chain = new List<int> { holder };
        for (var layer = _places[holder].Layer + 1; layer < _places[held].Layer; layer++)
        {
            _places.Add(new Place(layer, 0));
            chain.Add(_places.Count - 1);
        }

        chain.Add(held);
        return [.. chain];
    }

    private void Order(List<List<int>> columns)
    {
        foreach (var column in columns)
        {
            Number(column);
        }

        for (var sweep = 0; sweep < Sweeps; sweep++)
        {
            var forth = sweep % 2 == 0;
            foreach (var column in forth ? columns.Skip(1) : columns.AsEnumerable().Reverse().Skip(1))
            {
                var middles = column.ToDictionary(place => place, place => (forth ? _places[place].Left : _places[place].Right) is { Count: > 0 } tied
                    ? tied.Average(other => _places[other].Order / _places[other].ColumnSize) * column.Count
                    : _places[place].Order);
                column.Sort((a, b) => middles[a] != middles[b] ? middles[a].CompareTo(middles[b]) : _places[a].Order.CompareTo(_places[b].Order));
                Number(column);
            }
        }
    }

    private void Number(List<int> column)
    {
        for (var i = 0; i < column.Count; i++)
        {
            _places[column[i]].Order = i;
            _places[column[i]].ColumnSize = column.Count;
        }
    }

    private void Position(List<List<int>> columns)
    {
        var tallest = columns.Select(HeightOf).DefaultIfEmpty(0).Max();
        for (var layer = 0; layer < columns.Count; layer++)
        {
            double y = Margin + ((tallest - HeightOf(columns[layer])) / 2);
            foreach (var place in columns[layer].Select(place => _places[place]))
            {
                place.X = Margin + (layer * (NodeWidth + LayerGap));
                place.Y = y;
                y += place.Height + RowGap;
            }
        }
    }

    private double HeightOf(List<int> column) => column.Sum(place => _places[place].Height + RowGap) - RowGap;

    private string Line(int[] chain)
    {
        var (first, last) = (_places[chain[0]], _places[chain[^1]]);
        var line = FormattableString.Invariant($"M{first.X + NodeWidth} {first.Y + (NodeHeight / 2.0)}");
        var (x, y) = (first.X + NodeWidth, first.Y + (NodeHeight / 2.0));
        foreach (var place in chain[1..^1].Select(index => _places[index]))
        {
            line += Curve(x, y, place.X, place.Y) + FormattableString.Invariant($"H{place.X + NodeWidth}");
            (x, y) = (place.X + NodeWidth, place.Y);
        }

        return line + Curve(x, y, last.X - 7, last.Y + (NodeHeight / 2.0));
    }

    private static string Curve(double x, double y, double toX, double toY)
    {
        var middle = (x + toX) / 2;
        return FormattableString.Invariant($"C{middle} {y} {middle} {toY} {toX} {toY}");
    }

    private sealed class Place(int layer, double height)
    {
        public double Height { get; } = height;

        public int Layer { get; } = layer;

        public List<int> Left { get; } = [];

        public List<int> Right { get; } = [];

        public double Order { get; set; }

        public double ColumnSize { get; set; } = 1;

        public double X { get; set; }

        public double Y { get; set; }
    }
}

/// <summary>A node and its upper left corner.</summary>
public sealed record PlacedNode(int Index, GraphNode Node, double X, double Y);

/// <summary>Holds between two nodes, as one line.</summary>
/// <param name="Holder">The holder's index in the graph.</param>
/// <param name="Held">The held object's index.</param>
/// <param name="Why">What the holds are for.</param>
/// <param name="Count">How many holds.</param>
/// <param name="Line">The line as an SVG path.</param>
public sealed record PlacedEdge(int Holder, int Held, string Why, int Count, string Line);
