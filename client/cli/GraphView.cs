using System.Text;
using IommuFd.GrainInterfaces;
using Spectre.Console;

namespace IommuFd.Cli;

// Who holds whom has no cycles, but an object can have several holders, so that it is no tree either: what was shown before is named
// again and not entered again.

/// <summary>Shows who holds whom: as a tree, or in Graphviz' language.</summary>
internal static class GraphView
{
    /// <summary>Writes a tree: of an object, what holds it and what it holds; of a context, what nobody holds, with all that it holds.</summary>
    public static void Write(IAnsiConsole console, HolderGraph graph, bool hasRoot)
    {
        if (graph.Nodes.Length == 0)
        {
            console.WriteLine("no object");
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
            console.WriteLine("there is more: raise --limit");
        }
    }

    /// <summary>The graph in Graphviz' language: <c>dot -Tsvg</c> draws it. Whoever holds points to what it holds.</summary>
    public static string ToDot(HolderGraph graph)
    {
        var text = new StringBuilder("digraph context {\n  rankdir=LR;\n  node [fontname=\"sans-serif\"];\n");
        for (var i = 0; i < graph.Nodes.Length; i++)
        {
            var node = graph.Nodes[i];
            text.Append($"  n{i} [label=\"{Escape(Label(node))}\", shape={(node.IsDriver ? "ellipse" : "box")}];\n");
        }

        foreach (var edge in graph.Edges)
        {
            text.Append($"  n{edge.Holder} -> n{edge.Held} [label=\"{Escape(edge.Why)}\"];\n");
        }

        return text.Append("}\n").ToString();
    }

    private static void WriteTree(
        IAnsiConsole console, HolderGraph graph, int root, string title, string none, Func<GraphEdge, int> from, Func<GraphEdge, int> to, HashSet<int> seen)
    {
        var edges = graph.Edges.ToLookup(from);
        var tree = new Tree(Markup.Escape($"{Label(graph.Nodes[root])}: {title}{(edges[root].Any() ? "" : $" {none}")}"));
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
                Add(parent.AddNode(Markup.Escape($"{Label(graph.Nodes[next])} ({edge.Why}{again})")), next);
            }
        }
    }

    private static string Label(GraphNode node) => node.IsDriver ? $"{node}" : $"{node}, users {node.Users}";

    private static string Escape(string text) => text.Replace("\\", "\\\\", StringComparison.Ordinal).Replace("\"", "\\\"", StringComparison.Ordinal);
}
