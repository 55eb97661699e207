using IommuFd.GrainInterfaces;
using IommuFd.Grains.Inspection;
using IommuFd.Uapi;
using IommuFd.UnitTests.Support;

namespace IommuFd.UnitTests.Inspection;

// Who holds whom, as a graph for people.
//
//   vfio ---> device 3 ---> hwpt 2 ---> ioas 1
//   vdpa ---> device 4 -----^             ^
//                       access 5 ---------'        ioas 6 stands alone

public sealed class GraphWalkerTests
{
    private readonly OpenContext _context = new();
    private readonly ReferenceId _vfio;

    public GraphWalkerTests()
    {
        ReadOnlySpan<ObjectType> types = [ObjectType.Ioas, ObjectType.HwptPaging, ObjectType.Device, ObjectType.Device, ObjectType.Access, ObjectType.Ioas];
        foreach (var type in types)
        {
            _context.Add(type);
        }

        Hold(2, 1, "maps");
        Hold(3, 2, "attached");
        Hold(4, 2, "attached");
        Hold(5, 1, "reads");
        _vfio = _context.Driver("vfio");
        _context.Hold(_vfio, new ObjectId(3), "bound");
        _context.Hold(_context.Driver("vdpa"), new ObjectId(4), "bound");
    }

    [Fact]
    public void Holders_are_followed_up_to_the_drivers()
    {
        var graph = Walk(1, GraphDirection.Holders);
        Expect.Equal((Errno.None, false), (graph.Errno, graph.IsTruncated), "the graph");
        ExpectNodes(["1", "2", "3", "4", "5", "vdpa", "vfio"], graph);
        ExpectEdges(["2 > 1 maps", "3 > 2 attached", "4 > 2 attached", "5 > 1 reads", "vdpa > 4 bound", "vfio > 3 bound"], graph);
        Expect.Equal("1", Name(graph.Nodes[0]), "the first node");
    }

    [Theory]
    [InlineData(1)]
    [InlineData(0)]
    public void Holds_that_are_more_than_a_reply_carries_are_cut_and_said_so(uint root)
    {
        for (var i = 0; i < 30_000; i++)
        {
            _context.Hold(_vfio, new ObjectId(1), new string('h', IoctlLimits.MaxNameLength));
        }

        var graph = Walk(root, GraphDirection.Both);
        var bytes = graph.Nodes.Sum(node => WireSize.Flat + WireSize.Of(node.Name)) + graph.Edges.Sum(edge => WireSize.Flat + WireSize.Of(edge.Why));
        Expect.That(graph.IsTruncated, "The graph says that it is whole.");
        Expect.That(bytes is > IoctlLimits.MaxPageBytes / 2 and < (IoctlLimits.MaxPageBytes * 2L), $"The graph has {bytes} bytes.");
    }

    [Fact]
    public void What_is_held_is_followed_down()
    {
        var graph = Walk(3, GraphDirection.Held);
        ExpectNodes(["1", "2", "3"], graph);
        ExpectEdges(["2 > 1 maps", "3 > 2 attached"], graph);
    }

    [Fact]
    public void Both_ways_go_from_the_object_but_not_back_and_forth()
    {
        var graph = Walk(3, GraphDirection.Both);
        ExpectNodes(["1", "2", "3", "vfio"], graph);
        ExpectEdges(["2 > 1 maps", "3 > 2 attached", "vfio > 3 bound"], graph);
    }

    [Fact]
    public void No_way_is_the_object_alone()
    {
        var graph = Walk(2, GraphDirection.None);
        ExpectNodes(["2"], graph);
        ExpectEdges([], graph);
        ExpectNodes(["6"], Walk(6, GraphDirection.Both));
    }

    [Theory]
    [InlineData(GraphDirection.None)]
    [InlineData(GraphDirection.Held)]
    [InlineData(GraphDirection.Both)]
    public void The_whole_context_is_every_object_and_every_driver_that_holds_one(GraphDirection direction)
    {
        _context.Driver("idle");
        var graph = Walk(0, direction);
        Expect.That(!graph.IsTruncated, "The graph is truncated.");
        ExpectNodes(["1", "2", "3", "4", "5", "6", "vdpa", "vfio"], graph);
        ExpectEdges(["2 > 1 maps", "3 > 2 attached", "4 > 2 attached", "5 > 1 reads", "vdpa > 4 bound", "vfio > 3 bound"], graph);
    }

    [Fact]
    public void A_context_without_objects_is_an_empty_graph()
    {
        var graph = GraphWalker.Walk(new OpenContext().Model, new GraphRequest(default, GraphDirection.Both, 10));
        Expect.Equal((Errno.None, 0, 0, false), (graph.Errno, graph.Nodes.Length, graph.Edges.Length, graph.IsTruncated), "the graph");
    }

    [Theory]
    [InlineData(7)]
    [InlineData(uint.MaxValue)]
    public void An_object_that_is_not_there_is_ENOENT(uint root)
    {
        var graph = Walk(root, GraphDirection.Both);
        Expect.Equal((Errno.ENOENT, 0, 0), (graph.Errno, graph.Nodes.Length, graph.Edges.Length), "the graph");
    }

    [Fact]
    public void Nodes_say_their_users_and_drivers_their_reference()
    {
        var graph = Walk(2, GraphDirection.Holders);
        Expect.Equal(3L, Node(graph, "2").Users, "users of 2: the table and two devices");
        Expect.Equal((ObjectType.Device, 2L, false), (Node(graph, "3").Object.Type, Node(graph, "3").Users, Node(graph, "3").IsDriver), "the device");
        var driver = Node(graph, "vfio");
        Expect.Equal((_vfio, default, 0L, true), (driver.Reference, driver.Object, driver.Users, driver.IsDriver), "the driver");
        Expect.Equal("driver 'vfio'", driver.ToString(), "the driver in words");
    }

    [Fact]
    public void A_holder_that_is_reached_on_several_ways_appears_once_with_all_its_edges()
    {
        // 5 holds 1 twice and 2 as well; vfio holds both devices.
        Hold(5, 1, "writes");
        Hold(5, 2, "watches");
        _context.Hold(_vfio, new ObjectId(4), "bound too");
        var graph = Walk(1, GraphDirection.Holders);
        ExpectNodes(["1", "2", "3", "4", "5", "vdpa", "vfio"], graph);
        ExpectEdges(
            [
                "2 > 1 maps", "3 > 2 attached", "4 > 2 attached", "5 > 1 reads", "5 > 1 writes", "5 > 2 watches", "vdpa > 4 bound", "vfio > 3 bound",
                "vfio > 4 bound too",
            ],
            graph);
        ExpectEdges(["4 > 2 attached", "2 > 1 maps"], Walk(4, GraphDirection.Held));
    }

    [Fact]
    public void Objects_that_hold_each_other_in_a_circle_are_walked_once()
    {
        Hold(1, 6, "circle");
        Hold(6, 5, "circle");
        ExpectNodes(["1", "5", "6"], Walk(5, GraphDirection.Held));
        ExpectEdges(["1 > 6 circle", "5 > 1 reads", "6 > 5 circle"], Walk(5, GraphDirection.Held));
    }

    [Theory]
    [InlineData(int.MinValue, 1)]
    [InlineData(0, 1)]
    [InlineData(1, 1)]
    [InlineData(3, 3)]
    [InlineData(6, 6)]
    [InlineData(7, 7)]
    [InlineData(int.MaxValue, 7)]
    public void More_nodes_than_the_limit_are_left_out_and_the_nearest_kept(int limit, int nodes)
    {
        var graph = Walk(1, GraphDirection.Holders, limit);
        Expect.Equal((nodes, nodes < 7), (graph.Nodes.Length, graph.IsTruncated), "nodes, and whether some were left out");
        Expect.Equal("1", Name(graph.Nodes[0]), "the first node");
        Expect.That(nodes < 3 || graph.Nodes[1..3].Select(Name).Order(StringComparer.Ordinal).SequenceEqual(["2", "5"]), "The nearest holders are not the first.");
        Expect.That(Array.TrueForAll(graph.Edges, edge => edge.Holder < nodes && edge.Held < nodes), "An edge leads to a node that was left out.");
        Expect.Equal(nodes - 1, graph.Edges.Length, "edges");
    }

    [Theory]
    [InlineData(1)]
    [InlineData(4)]
    [InlineData(7)]
    [InlineData(8)]
    public void A_whole_context_beyond_the_limit_has_the_edges_between_the_nodes_that_are_there(int limit)
    {
        var graph = Walk(0, GraphDirection.Both, limit);
        Expect.Equal((limit, limit < 8), (graph.Nodes.Length, graph.IsTruncated), "nodes, and whether some were left out");
        var names = graph.Nodes.Select(Name).ToHashSet();
        string[] all = ["2 > 1 maps", "3 > 2 attached", "4 > 2 attached", "5 > 1 reads", "vdpa > 4 bound", "vfio > 3 bound"];
        ExpectEdges([.. all.Where(edge => edge.Split(' ') is var words && names.Contains(words[0]) && names.Contains(words[2]))], graph);
    }

    private static string Name(GraphNode node) => node.IsDriver ? node.Name : $"{node.Object.Id.Value}";

    private static GraphNode Node(HolderGraph graph, string name) => graph.Nodes.Single(node => Name(node) == name);

    private static void ExpectNodes(string[] names, HolderGraph graph)
        => Expect.Sequence(names.Order(StringComparer.Ordinal), graph.Nodes.Select(Name).Order(StringComparer.Ordinal), "the nodes");

    private static void ExpectEdges(string[] edges, HolderGraph graph)
        => Expect.Sequence(
            edges.Order(StringComparer.Ordinal),
            graph.Edges.Select(edge => $"{Name(graph.Nodes[edge.Holder])} > {Name(graph.Nodes[edge.Held])} {edge.Why}").Order(StringComparer.Ordinal),
            "the edges");

    private HolderGraph Walk(uint root, GraphDirection direction, int limit = 100)
        => GraphWalker.Walk(_context.Model, new GraphRequest(new ObjectId(root), direction, limit));

    private void Hold(uint owner, uint target, string why)
        => Grains.Model.Hold.RefToUsers(_context.Objects.Find(owner)!, _context.Objects.Find(target)!, why);
}
