using System.CommandLine;
using System.Globalization;
using IommuFd.GrainInterfaces;
using Spectre.Console;

namespace IommuFd.Cli;

/// <summary><c>iommufd inspect HANDLE</c>: shows a context of a running silo.</summary>
internal static class InspectCommand
{
    public static Command Create()
    {
        var id = new Argument<uint?>("ID") { Description = "An object of the context: shows all that is known of it.", Arity = ArgumentArity.ZeroOrOne };
        var json = new Option<bool>("--json") { Description = "Writes one JSON object instead of tables." };
        var after = new Option<string>("--after")
        {
            Description = "Shows only objects with greater ids; of an IOAS, only areas after this IOVA.",
            DefaultValueFactory = _ => "",
        };
        var limit = new Option<int>("--limit") { Description = "Shows at most so many objects, or areas of an IOAS.", DefaultValueFactory = _ => 100 };
        var command = ContextTarget.CreateCommand("inspect", "Shows a context: its objects, their users and holders.");
        command.Arguments.Add(id);
        foreach (var option in (Option[])[json, after, limit])
        {
            command.Options.Add(option);
        }

        command.SetAction(async (options, cancellationToken) =>
        {
            await using var context = await ContextTarget.OpenAsync(options, cancellationToken);
            var last = ParseNumber(options.GetValue(after)!);
            if (options.GetValue(id) is { } objectId)
            {
                var page = new StatePage(last is { } iova ? iova + 1 : 0, options.GetValue(limit));
                var shown = await context.Client.InspectObjectAsync(context.Handle, new ObjectId(objectId), page, cancellationToken)
                    ?? throw new CliException($"The context is not open, or has no object {objectId}.");
                Show(options.GetValue(json), shown, () => WriteObject(AnsiConsole.Console, shown));
                return 0;
            }

            var request = new InspectRequest(new ObjectId((uint)(last ?? 0)), options.GetValue(limit), WithState: true);
            var inspection = await context.Client.InspectAsync(context.Handle, request, cancellationToken);
            Show(options.GetValue(json), inspection, () => Write(AnsiConsole.Console, context.Handle, inspection));
            return 0;
        });
        return command;
    }

    private static void Show<T>(bool json, T value, Action write)
    {
        if (json)
        {
            JsonText.Write(value);
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
            : throw new CliException($"'{text}' is not a number.");
    }

    private static void WriteObject(IAnsiConsole console, ObjectInspection item)
    {
        console.Say($"[bold]{item}[/]  users {Format.Count(item.Users)}");
        foreach (var holder in item.Holders)
        {
            console.Say($"held by {holder}");
        }

        if (item.Users - 1 > item.Holders.Length)
        {
            console.Line($"and {Format.Count(item.Users - 1 - item.Holders.Length)} more");
        }

        var facts = new Grid().AddColumn(new GridColumn().NoWrap()).AddColumn();
        foreach (var fact in item.Facts)
        {
            facts.AddRow(Terminal.Cell(fact.Name), Terminal.Cell(fact.Value));
        }

        console.Write(facts);
        if (item.State is IoasState ioas)
        {
            IoasView.Write(console, ioas);
        }
    }

    public static void Write(IAnsiConsole console, ContextHandle handle, ContextInspection inspection)
    {
        console.Say($"[bold]context {handle.Key.Tag}[/]  {Format.Mode(inspection.Mode)}, on silo {Format.Endpoint(inspection.Silo)}");
        console.Say($"rlimit mode {inspection.RlimitMode}, compatibility IOAS {(inspection.CompatIoas == default ? "none" : inspection.CompatIoas)}, {Format.Count(inspection.PinnedPages, "page")} pinned");
        foreach (var reference in inspection.References)
        {
            console.Say($"referenced by {Format.Kind(reference.Kind)} '{reference.Name}'{(reference.Holds == 0 ? "" : $", which holds {Format.Count(reference.Holds, "object")}")}");
        }

        var table = new Table().Border(TableBorder.Simple).AddColumn("object").AddColumn(new TableColumn("users").RightAligned())
            .AddColumn("held by").AddColumn("state");
        foreach (var item in inspection.Objects)
        {
            table.AddRow(
                Terminal.Cell($"{item}"), Format.Count(item.Users), Terminal.Cell(Format.List(item.Holders, item.Users - 1)), Terminal.Cell(item.Summary));
        }

        console.Write(table);
        console.Line($"{Format.Count(inspection.ObjectCount, "object")}{(inspection.HasMore ? ", more with --after" : "")}");
    }
}
