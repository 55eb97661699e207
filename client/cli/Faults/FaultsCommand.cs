using System.CommandLine;
using IommuFd.Client;
using IommuFd.GrainInterfaces;

namespace IommuFd.Cli.Faults;

/// <summary><c>iommufd faults</c>: lists the DMA of emulated devices that the IOMMU refused.</summary>
internal static class FaultsCommand
{
    private static readonly TimeSpan Pause = TimeSpan.FromMilliseconds(200);

    private static readonly Argument<string?> ContextArgument = new("CONTEXT")
    {
        Description = "The context: its handle of 32 hexadecimal digits, or its tag of 16, as the dashboard and this command show it. Without it: all contexts that you have opened by the gateway, "
            + "and with Orleans' port or the database all of the cluster.",
        Arity = ArgumentArity.ZeroOrOne,
    };

    private static readonly Option<int> LinesOption = new("--lines", "-n") { Description = "How many of the last faults to show first.", DefaultValueFactory = _ => 100 };

    private static readonly Option<bool> FollowOption = new("--follow", "-f") { Description = "Goes on with new faults until Ctrl-C." };

    private static readonly Option<bool> JsonOption = new("--json") { Description = "Writes JSON, one object a line." };

    public static Command Create()
    {
        var command = new Command("faults", "Lists the DMA of emulated devices that the IOMMU refused: when, whose, where, why, and what to do.") { ContextArgument, LinesOption, FollowOption, JsonOption };
        ConnectionOptions.AddTo(command);
        command.SetAction(async (options, cancellationToken) =>
        {
            var (tag, handle) = ContextOf(options.GetValue(ContextArgument));
            ContextTarget.RequireService(options);
            await using var connection = await Connection.OpenAsync(options, cancellationToken);
            var (client, shown) = (connection.CreateClient(), new Shown(options.GetValue(JsonOption)));
            var query = new FaultQuery(tag, [], options.GetValue(LinesOption) is >= 0 and <= FaultQuery.MaxLimit and var lines
                ? lines : throw new CliException($"--lines must be from 0 to {FaultQuery.MaxLimit}."));
            var page = await client.ListFaultsAsync(query, handle, cancellationToken);
            shown.Write(lines == 0 ? page with { Faults = [] } : page);
            if (options.GetValue(FollowOption))
            {
                await FollowAsync(client, handle, query, page, shown, cancellationToken);
            }
            else if (page.Faults.Length == 0 && !options.GetValue(JsonOption))
            {
                Terminal.Line("No DMA was refused, as far as it is known: a silo keeps the last faults of its contexts until it ends.");
            }

            return 0;
        });
        return command;
    }

    private static (ContextTag? Tag, ContextHandle? Handle) ContextOf(string? text) => text is null ? default
        : ContextTag.TryParse(text, out var tag) ? (tag, null)
        : ContextHandle.TryParse(text, out var handle) ? (null, handle)
        : throw new CliException($"'{text}' is neither a context's tag, which has 16 hexadecimal digits, nor a handle, which has 32.");

    private static async Task FollowAsync(IommufdClient client, ContextHandle? handle, FaultQuery query, FaultPage last, Shown shown, CancellationToken cancellationToken)
    {
        using var timer = new PeriodicTimer(Pause);
        while (await timer.WaitForNextTickAsync(cancellationToken))
        {
            last = await client.ListFaultsAsync(query with { After = last.Marks, Limit = FaultQuery.MaxLimit }, handle, cancellationToken);
            shown.Write(last);
        }
    }

    /// <summary>What was shown so far.</summary>
    private sealed class Shown(bool isJson)
    {
        // How many faults each context has had, of those that were shown: a number that is left out is one that is no longer kept.
        private readonly Dictionary<(string Silo, ContextTag Context), long> _ordinals = [];
        private string _advice = "";
        private string _silent = "";

        // Plain text, so that it can be piped, and so that no name is taken for markup.
        public void Write(FaultPage page)
        {
            foreach (var fault in page.Faults)
            {
                if (_ordinals.TryGetValue((fault.Silo, fault.Context), out var last) && fault.Ordinal > last + 1 && !isJson)
                {
                    Terminal.Line($"--- {Format.Count(fault.Ordinal - last - 1, "fault")} of {fault.Context} missed");
                }

                _ordinals[(fault.Silo, fault.Context)] = fault.Ordinal;
                Write(fault);
            }

            if (string.Join(", ", page.SilentSilos.Select(Format.Endpoint)) is var silent && silent != _silent)
            {
                Terminal.Error(silent.Length == 0 ? "iommufd: all silos answer again" : $"iommufd: no answer from {silent}, whose faults are missing");
                _silent = silent;
            }
        }

        private void Write(RecordedDmaFault fault)
        {
            if (isJson)
            {
                Terminal.Document(JsonText.Line(json => FaultView.WriteFields(json, fault)));
                return;
            }

            Terminal.Line(FaultView.Text(fault));
            if (DmaFaultText.Advice(fault) is { Length: > 0 } advice && advice != _advice)
            {
                Terminal.Line($"    {advice}");
                _advice = advice;
            }
        }
    }
}
