using System.CommandLine;
using IommuFd.GrainInterfaces;
using Spectre.Console;

namespace IommuFd.Cli;

/// <summary><c>iommufd graph HANDLE</c>: shows who holds whom in a context.</summary>
internal static class GraphCommand
{
    private enum GraphFormat
    {
        Text,
        Dot,
        Json,
    }

    public static Command Create()
    {
        var id = new Argument<uint?>("ID") { Description = "An object of the context: shows only its holders and what it holds.", Arity = ArgumentArity.ZeroOrOne };
        var format = new Option<GraphFormat>("--format") { Description = "A tree as text; Graphviz' language, for example for 'dot -Tsvg'; or JSON.", DefaultValueFactory = _ => GraphFormat.Text };
        var limit = new Option<int>("--limit") { Description = "Shows at most so many objects and drivers.", DefaultValueFactory = _ => 100 };
        var command = ContextTarget.CreateCommand("graph", "Shows who holds whom: in the whole context, or around an object.");
        command.Arguments.Add(id);
        command.Options.Add(format);
        command.Options.Add(limit);
        command.SetAction(async (options, cancellationToken) =>
        {
            await using var context = await ContextTarget.OpenAsync(options, cancellationToken);
            var root = new ObjectId(options.GetValue(id) ?? 0);
            var graph = await context.Client.InspectGraphAsync(context.Handle, new GraphRequest(root, GraphDirection.Both, options.GetValue(limit)), cancellationToken);
            switch (options.GetValue(format))
            {
                case GraphFormat.Dot:
                    Terminal.Document(GraphView.ToDot(graph));
                    break;
                case GraphFormat.Json:
                    JsonText.Write(graph);
                    break;
                default:
                    GraphView.Write(AnsiConsole.Console, graph, hasRoot: root != default);
                    break;
            }

            return 0;
        });
        return command;
    }
}
