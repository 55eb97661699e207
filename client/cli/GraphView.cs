using System.Text;
using IommuFd.GrainInterfaces;
using Spectre.Console;

namespace IommuFd.Cli;

// Holds form no cycle, but they form no tree either: an object can have several holders. So an object that was shown before is named again,
// without what is below it.

/// <summary>Shows who holds whom: as a tree, or in Graphviz' language.</summary>
internal static class GraphView
{
    /// <summary>Writes a tree. Of one object: its holders, and what it holds. Of a context: everything that has no holder, with what it holds.</summary>
    public static void Write(IAnsiConsole console, HolderGraph graph, bool hasRoot)
    {
        if (graph.Nodes.Length == 0)
        {
            console.Line("no objects");
            return;
        }

        if (hasRoot)
        {
            WriteTree(console, graph, 0, "held by", "nobody", edge => edge.Held, edge => edge.Holder, []);
            WriteTree(console, graph, 0, "holds", "nothing", edge => edge.Holder, edge => edge.Held, []);
        }
        else
        {
            var held = graph.Edges.Select(edge => edge.Held).ToHashSet();
            var seen = new HashSet<int>();
            foreach (var top in Enumerable.Range(0, graph.Nodes.Length).Where(node => !held.Contains(node)))
            {
                WriteTree(console, graph, top, "holds", "nothing", edge => edge.Holder, edge => edge.Held, seen);
            }
        }

        if (graph.IsTruncated)
        {
            console.Line("there are more: raise --limit");
        }
    }

    /// <summary>The graph in Graphviz' language: <c>dot -Tsvg</c> draws it, with an arrow from each holder to what it holds.</summary>
    public static string ToDot(HolderGraph graph)
    {
        var text = new StringBuilder("digraph context {\n  rankdir=LR;\n  node [fontname=\"sans-serif\"];\n");
        for (var i = 0; i < graph.Nodes.Length; i++)
        {
            var node = graph.Nodes[i];
            text.Append($"  n{i} [label=\"{Escape(Label(node))}\", shape={(node.IsDriver ? "ellipse" : "box")}, color={Color(node.Style)}];\n");
        }

        foreach (var edge in graph.Edges)
        {
            text.Append($"  n{edge.Holder} -> n{edge.Held} [label=\"{Escape(edge.Why)}\"];\n");
        }

        return text.Append('}').ToString();
    }

    private static void WriteTree(
        IAnsiConsole console, HolderGraph graph, int root, string title, string none, Func<GraphEdge, int> from, Func<GraphEdge, int> to, HashSet<int> seen)
    {
        var edges = graph.Edges.ToLookup(from);
        var tree = new Tree(Terminal.Cell($"{Label(graph.Nodes[root])}: {title}{(edges[root].Any() ? "" : $" {none}")}"));
        Add(tree, root);
        console.Write(tree);

        void Add(IHasTreeNodes parent, int node)
        {
            if (!seen.Add(node))
            {
                return;
            }

            foreach (var edge in edges[node])
            {
                var next = to(edge);
                var again = seen.Contains(next) && edges[next].Any() ? ", shown above" : "";
                Add(parent.AddNode(Terminal.Cell($"{Label(graph.Nodes[next])} ({edge.Why}{again})")), next);
            }
        }
    }

    private static string Label(GraphNode node) => node.IsDriver ? $"{node}" : $"{node}, users {Format.Count(node.Users)}";

    // As on the dashboard.
    private static string Color(DrawingStyle style) => style switch
    {
        DrawingStyle.Driver => "slategray",
        DrawingStyle.Device => "royalblue",
        DrawingStyle.Access => "purple",
        DrawingStyle.PageTable => "teal",
        DrawingStyle.Memory => "darkorange",
        DrawingStyle.Queue => "deeppink",
        _ => "forestgreen",
    };

    private static string Escape(string text) => Plain.Line(text).Replace("\\", "\\\\", StringComparison.Ordinal).Replace("\"", "\\\"", StringComparison.Ordinal);
}
