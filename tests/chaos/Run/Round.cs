using IommuFd.Chaos.Clients;
using IommuFd.Chaos.Faults;
using IommuFd.Chaos.Outages;
using IommuFd.Client;
using IommuFd.GrainInterfaces;
using IommuFd.Linearizability;
using IommuFd.Uapi;

namespace IommuFd.Chaos.Run;

/// <summary>The outcome of one context.</summary>
/// <param name="Tally">The counts of its clients.</param>
/// <param name="IsJudged">Whether its history was judged.</param>
/// <param name="Violations">The violations found.</param>
internal sealed record RoundOutcome(Tally Tally, bool IsJudged, List<string> Violations);

/// <summary>
/// The life of one context: it is opened, worked on by all client processes at once, emptied or not, inspected, closed, and judged.
/// </summary>
/// <param name="client">The opener.</param>
/// <param name="clients">The client processes.</param>
/// <param name="stranger">A client of another cluster on the same store, which may not have the context; null for none.</param>
/// <param name="options">The run's size.</param>
/// <param name="outages">Where calls are reported that took long.</param>
/// <param name="folder">Where the histories are.</param>
internal sealed class Round(IommufdClient client, IReadOnlyList<ClientSlot> clients, IommufdClient? stranger, ChaosOptions options, OutageReport outages, string folder)
{
    // The opener and closer of the contexts is a client too.
    private const int Opener = 0;

    /// <summary>Runs the round with a number.</summary>
    public async Task<RoundOutcome> RunAsync(int number)
    {
        var violations = new List<string>();
        var context = await client.OpenAsync($"chaos {number}");
        var orders = clients.Select((_, i) => new WorkOrder(number, context.Handle, HistoryPath(number, i + 1), (options.Seed * 10_007) + number, options.Ioctls)).ToList();
        var intruding = IntrudeAsync(context.Handle, violations);
        var results = await Task.WhenAll(clients.Select((slot, i) => slot.WorkAsync(orders[i])));
        await intruding;
        violations.AddRange(results.Select(result => result.Failure).OfType<string>().Select(failure => $"its clients failed: {failure}"));

        using var history = new HistoryWriter(HistoryPath(number, Opener));
        var opener = new Worker(context, Opener, history, outages.Add);
        var isEmptied = number % 2 == 0;
        if (isEmptied)
        {
            await EmptyAsync(context, opener);
        }

        var left = await LookAsync(context, violations);
        var release = await context.CloseAsync();

        // A killed client's requests may still arrive, and its files exist, until its lease expires.
        if (Array.TrueForAll(results, result => !result.WasKilled))
        {
            if (isEmptied && left > 0)
            {
                violations.Add($"{left} objects are left although all that could be were destroyed");
            }

            if (release is not null && release.Destroyed != left)
            {
                violations.Add($"closing it destroyed {release.Destroyed} objects, but there were {left}");
            }
        }

        if (release is { Stuck: { Length: > 0 } stuck })
        {
            violations.Add($"the users counts of {string.Join(", ", stuck)} were wrong when it was closed");
        }

        var isJudged = await Task.Run(() => Judge(number, violations));
        return new RoundOutcome(results.Select(result => result.Tally ?? Tally.None).Aggregate(opener.Tally, (sum, tally) => sum + tally), isJudged, violations);
    }

    private async Task IntrudeAsync(ContextHandle handle, List<string> violations)
    {
        if (stranger is null)
        {
            return;
        }

        try
        {
            await using var file = await stranger.DuplicateAsync(handle, "stranger");
            violations.Add("a client of another cluster got it");
        }
        catch (IommufdException refused) when (refused.Errno == Errno.EBADF)
        {
            // It belongs to its cluster.
        }
        catch (IommufdTransportException)
        {
            // The database was away for too long.
        }
    }

    // Destroys objects until a pass over all of them finds none that can be destroyed.
    private static async Task EmptyAsync(IommuContext context, Worker opener)
    {
        for (var gone = 1; gone > 0;)
        {
            gone = 0;
            foreach (var item in (await context.InspectAsync()).Objects)
            {
                var result = await opener.IssueAsync(Ioctl.Of(IommuCommand.Destroy, new IommuDestroy { Id = item.Object.Id.Value }));
                gone += result is { Succeeded: true } ? 1 : 0;
            }
        }
    }

    // An object's users are 1 for the table and 1 for each hold on it. Clients do not interfere any more.
    private static async Task<long> LookAsync(IommuContext context, List<string> violations)
    {
        var graph = await context.InspectGraphAsync();
        for (var i = 0; i < graph.Nodes.Length; i++)
        {
            var expected = 1 + graph.Edges.Count(edge => edge.Held == i);
            if (graph.Nodes[i] is { IsDriver: false } node && node.Users != expected)
            {
                violations.Add($"{node} has {node.Users} users, but {expected - 1} holders");
            }
        }

        return graph.Nodes.Count(node => !node.IsDriver);
    }

    private bool Judge(int number, List<string> violations)
    {
        var files = Directory.GetFiles(folder, $"{number}-*.jsonl");
        var result = new LinearizabilityChecker<ContextState>(new ContextSpecification()).Check(History.Read(files));
        switch (result.Verdict)
        {
            case Verdict.Violation:
                violations.Add($"its history is not linearizable ({folder}/{number}-*.jsonl):\n{LinearizabilityReport.Write(result)}");
                return true;

            case Verdict.Unknown:
                violations.Add($"its history could not be judged in {result.Elapsed.TotalSeconds:F0} s ({folder}/{number}-*.jsonl)");
                return false;

            default:
                foreach (var file in files)
                {
                    File.Delete(file);
                }

                return true;
        }
    }

    private string HistoryPath(int number, int process) => Path.Combine(folder, $"{number}-{process}.jsonl");
}
