using System.CommandLine;
using IommuFd.GrainInterfaces;
using Spectre.Console;

namespace IommuFd.Cli;

/// <summary><c>iommufd why HANDLE ID</c>: says who holds an object, and what to release, in which order, before it can be destroyed.</summary>
internal static class WhyCommand
{
    public static Command Create()
    {
        var id = new Argument<uint>("ID") { Description = "The object that can't be destroyed." };
        var json = new Option<bool>("--json") { Description = "Writes one JSON object instead of text." };
        var command = ContextTarget.CreateCommand("why", "Says why an object is busy, and what to release, in which order, before IOMMU_DESTROY works.");
        command.Arguments.Add(id);
        command.Options.Add(json);
        command.SetAction(async (options, cancellationToken) =>
        {
            await using var context = await ContextTarget.OpenAsync(options, cancellationToken);
            var explanation = await context.Client.ExplainBusyAsync(context.Handle, new ObjectId(options.GetValue(id)), cancellationToken);
            if (options.GetValue(json))
            {
                JsonText.Write(explanation);
                return 0;
            }

            var shown = await context.Client.InspectObjectAsync(context.Handle, explanation.Object.Id, default, cancellationToken);
            Write(AnsiConsole.Console, explanation, shown?.Holders ?? []);
            return 0;
        });
        return command;
    }

    private static void Write(IAnsiConsole console, BusyExplanation explanation, Holder[] holders)
    {
        if (explanation.Steps.Length == 0)
        {
            console.Line($"{explanation.Object} is not busy: IOMMU_DESTROY works.");
            return;
        }

        console.Line($"{explanation.Object} is busy, users {Format.Count(explanation.Users)}:");
        foreach (var holder in holders)
        {
            console.Line($"  held by {holder}");
        }

        console.Line("Do these in order:");
        for (var i = 0; i < explanation.Steps.Length; i++)
        {
            console.Line($"  {i + 1}. {explanation.Steps[i]}{Effect(explanation.Steps[i])}");
        }

        console.Line(BusyText.Conclusion(explanation));
    }

    private static string Effect(BusyStep step) => BusyText.Effect(step) is { Length: > 0 } effect ? $"; {effect}" : "";
}
