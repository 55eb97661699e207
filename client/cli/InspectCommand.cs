using System.CommandLine;
using System.Globalization;
using System.Text.Json;
using System.Text.Json.Serialization;
using IommuFd.Client;
using IommuFd.GrainInterfaces;
using Spectre.Console;

namespace IommuFd.Cli;

/// <summary><c>iommufd inspect HANDLE</c>: shows a context of a running silo.</summary>
internal static class InspectCommand
{
    // Ids are written as plain numbers, and object states with the fields of their own kind.
    private static readonly JsonSerializerOptions JsonOptions = new()
    {
        WriteIndented = true,
        PropertyNamingPolicy = JsonNamingPolicy.CamelCase,
        Converters =
        {
            new JsonStringEnumConverter(),
            new WriteAs<ObjectId>(id => id.Value),
            new WriteAs<ReferenceId>(id => id.Value),
            new WriteAs<HoldId>(id => id.Value),
            new WriteAs<ObjectState>(state => state),
        },
    };

    public static Command Create()
    {
        var handle = new Argument<string>("HANDLE") { Description = "The context's handle: 32 hexadecimal digits." };
        var id = new Argument<uint?>("ID") { Description = "An object of the context, to see all of it.", Arity = ArgumentArity.ZeroOrOne };
        var json = new Option<bool>("--json") { Description = "Writes one JSON object instead of tables." };
        var after = new Option<string>("--after")
        {
            Description = "Shows only objects with greater ids; of an IOAS, only areas behind this IOVA.",
            DefaultValueFactory = _ => "",
        };
        var limit = new Option<int>("--limit") { Description = "Shows at most so many objects, or areas of an IOAS.", DefaultValueFactory = _ => 100 };
        var graph = new Option<bool>("--graph") { Description = "Shows who holds whom as a tree: in the whole context, or around the object." };
        var dot = new Option<bool>("--dot") { Description = "Writes who holds whom in Graphviz' language, for example for 'dot -Tsvg'." };
        var command = new Command("inspect", "Shows a context: its objects, their users and holders.") { handle, id, json, after, limit, graph, dot };
        ConnectionOptions.AddTo(command);
        command.SetAction(async (options, cancellationToken) =>
        {
            if (!ContextHandle.TryParse(options.GetValue(handle), out var context))
            {
                throw new CliException($"'{options.GetValue(handle)}' is no handle: 32 hexadecimal digits, as IommuContext.Handle prints them.");
            }

            if (!ConnectionOptions.NamesService(options))
            {
                throw new CliException("A context is inspected where it lives: name its silo with --gateway, for example 127.0.0.1:30000.");
            }

            await using var connection = await Connection.OpenAsync(options, cancellationToken);
            var client = new IommufdClient(connection.Grains);
            if (options.GetValue(graph) || options.GetValue(dot))
            {
                var root = new ObjectId(options.GetValue(id) ?? 0);
                var holders = await client.InspectGraphAsync(context, new GraphRequest(root, GraphDirection.Both, options.GetValue(limit)), cancellationToken);
                ShowGraph(holders, options.GetValue(json), options.GetValue(dot), hasRoot: root != default);
                return 0;
            }

            var behind = ParseNumber(options.GetValue(after)!);
            if (options.GetValue(id) is { } objectId)
            {
                var page = new StatePage(behind is { } iova ? iova + 1 : 0, options.GetValue(limit));
                var shown = await client.InspectObjectAsync(context, new ObjectId(objectId), page, cancellationToken)
                    ?? throw new CliException($"The context is not open, or has no object {objectId}.");
                Show(options.GetValue(json), shown, () => WriteObject(AnsiConsole.Console, shown));
                return 0;
            }

            var request = new InspectRequest(new ObjectId((uint)(behind ?? 0)), options.GetValue(limit), WithState: true);
            var inspection = await client.InspectAsync(context, request, cancellationToken);
            Show(options.GetValue(json), inspection, () => Write(AnsiConsole.Console, context, inspection));
            return 0;
        });
        return command;
    }

    private static void ShowGraph(HolderGraph graph, bool json, bool dot, bool hasRoot)
    {
        if (dot)
        {
            Console.Write(GraphView.ToDot(graph));
        }
        else
        {
            Show(json, graph, () => GraphView.Write(AnsiConsole.Console, graph, hasRoot));
        }
    }

    private static void Show<T>(bool json, T value, Action write)
    {
        if (json)
        {
            Console.WriteLine(JsonSerializer.Serialize(value, JsonOptions));
        }
        else
        {
            write();
        }
    }

    private static ulong? ParseNumber(string text)
    {
        if (text.Length == 0)
        {
            return null;
        }

        var hex = text.StartsWith("0x", StringComparison.OrdinalIgnoreCase);
        return ulong.TryParse(hex ? text.AsSpan(2) : text, hex ? NumberStyles.HexNumber : NumberStyles.None, CultureInfo.InvariantCulture, out var number)
            ? number
            : throw new CliException($"'{text}' is no number.");
    }

    private static void WriteObject(IAnsiConsole console, ObjectInspection item)
    {
        console.MarkupLineInterpolated($"[bold]{item.Object}[/]  users {item.Users}");
        foreach (var holder in item.Holders)
        {
            console.MarkupLineInterpolated($"held by {holder}");
        }

        if (item.State is IoasState ioas)
        {
            IoasView.Write(console, ioas);
        }
        else
        {
            console.WriteLine(ObjectView.Summarize(item.State));
        }
    }

    public static void Write(IAnsiConsole console, ContextHandle handle, ContextInspection inspection)
    {
        console.MarkupLineInterpolated($"[bold]context {handle.ToShortString()}[/]  {(inspection.Mode == ContextMode.Durable ? "durable" : "volatile")}, on silo {inspection.Silo}");
        console.MarkupLineInterpolated($"rlimit mode {inspection.RlimitMode}, compatibility IOAS {(inspection.CompatIoas == default ? "none" : inspection.CompatIoas)}");
        foreach (var reference in inspection.References)
        {
            console.MarkupLineInterpolated($"referenced by {reference.Kind} '{reference.Name}'{(reference.Holds == 0 ? "" : $", which holds {reference.Holds}")}");
        }

        var table = new Table().Border(TableBorder.Simple).AddColumn("object").AddColumn(new TableColumn("users").RightAligned())
            .AddColumn("held by").AddColumn("state");
        foreach (var item in inspection.Objects)
        {
            table.AddRow(
                $"{item.Object}",
                $"{item.Users:N0}",
                Markup.Escape(string.Join(", ", item.Holders.Select(holder => holder.ToString()))),
                Markup.Escape(ObjectView.Summarize(item.State)));
        }

        console.Write(table);
        console.WriteLine($"{inspection.ObjectCount:N0} objects{(inspection.HasMore ? ", more with --after" : "")}");
    }

    private sealed class WriteAs<T>(Func<T, object> convert) : JsonConverter<T>
    {
        public override T Read(ref Utf8JsonReader reader, Type typeToConvert, JsonSerializerOptions options) => throw new NotSupportedException();

        public override void Write(Utf8JsonWriter writer, T value, JsonSerializerOptions options)
            => JsonSerializer.Serialize(writer, convert(value), convert(value).GetType(), options);
    }
}
