using System.CommandLine;
using IommuFd.GrainInterfaces;
using Spectre.Console;

namespace IommuFd.Cli;

/// <summary><c>iommufd graph HANDLE</c>: shows who holds whom in a context.</summary>
internal static class GraphCommand
{
    private enum Format
    {
        Text,
        Dot,
        Json,
    }

    public static Command Create()
    {
        var id = new Argument<uint?>("ID") { Description = "An object of the context: shows only its holders and what it holds.", Arity = ArgumentArity.ZeroOrOne };
        var format = new Option<Format>("--format") { Description = "A tree as text; input for Graphviz, for example for 'dot -Tsvg'; or JSON.", DefaultValueFactory = _ => Format.Text };
        var limit = new Option<int>("--limit") { Description = "How many objects and drivers to show at most.", DefaultValueFactory = _ => 100 };
        var command = ContextTarget.CreateCommand("graph", "Shows who holds whom: in the whole context, or around one object.");
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
                case Format.Dot:
                    Console.Write(GraphView.ToDot(graph));
                    break;
                case Format.Json:
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
