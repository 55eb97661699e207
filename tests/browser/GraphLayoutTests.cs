using IommuFd.GrainInterfaces;
using IommuFd.Silo.Dashboard.Drawing;

namespace IommuFd.BrowserTests;

/// <summary>What is drawn of graphs can be read.</summary>
public sealed class GraphLayoutTests
{
    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    public void Holders_stand_left_of_what_they_hold_and_no_nodes_overlap(int seed)
    {
        var random = new Random(seed);
        var styles = Enum.GetValues<DrawingStyle>();
        var nodes = Enumerable.Range(0, 60).Select(i => Node((uint)i + 1, styles[random.Next(styles.Length)])).ToArray();

        // An edge from a lower to a higher place: so there is no circle.
        var edges = Enumerable.Range(0, 90).Select(_ => (From: random.Next(60), To: random.Next(60))).Where(edge => edge.From < edge.To).Select(edge => new GraphEdge(edge.From, edge.To, "test")).ToArray();

        var layout = GraphLayout.Of(new HolderGraph { Nodes = nodes, Edges = edges });

        Assert.All(edges, edge => Assert.True(layout.Nodes[edge.Holder].X < layout.Nodes[edge.Held].X));
        Assert.All(layout.Nodes, node => Assert.True(node.X >= 0 && node.Y >= 0 && node.X + GraphLayout.NodeWidth <= layout.Width && node.Y + GraphLayout.NodeHeight <= layout.Height));
        foreach (var column in layout.Nodes.GroupBy(node => node.X))
        {
            var places = column.Select(node => node.Y).Order().ToList();
            Assert.All(places.Zip(places.Skip(1)), pair => Assert.True(pair.Second - pair.First >= GraphLayout.NodeHeight));
        }
    }

    [Fact]
    public void A_circle_which_there_must_not_be_ends_all_the_same()
    {
        GraphNode[] nodes = [Node(1, DrawingStyle.PageTable), Node(2, DrawingStyle.PageTable)];
        var layout = GraphLayout.Of(new HolderGraph { Nodes = nodes, Edges = [new GraphEdge(0, 1, ""), new GraphEdge(1, 0, "")] });
        Assert.Equal(2, layout.Nodes.Count);
    }

    [Fact]
    public void Nodes_without_edges_stand_in_the_columns_of_their_styles()
    {
        DrawingStyle[] styles = [DrawingStyle.Driver, DrawingStyle.Device, DrawingStyle.Access, DrawingStyle.PageTable, DrawingStyle.Memory];
        var left = GraphLayout.Of(new HolderGraph { Nodes = [.. styles.Select((style, i) => Node((uint)i + 1, style))] }).Nodes.Select(node => node.X).ToList();
        Assert.Equal(left.Order(), left);
        Assert.Equal(4, left.Distinct().Count());
        Assert.Equal(left[1], left[2]);
    }

    [Fact]
    public void Nothing_is_drawn_of_nothing() => Assert.Empty(GraphLayout.Of(new HolderGraph()).Nodes);

    private static GraphNode Node(uint id, DrawingStyle style) => new(new ObjectRef(ObjectType.Any, new ObjectId(id)), default, "", 1, style);
}
