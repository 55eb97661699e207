using System.Diagnostics;
using System.Globalization;
using IommuFd.Client;
using IommuFd.Linearizability;
using IommuFd.TestSupport;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Npgsql;

namespace IommuFd.Chaos.Clients;

// A client process reads orders line by line on its standard input and reports the outcome on its standard output, so that its parent needs
// no other channel and may kill it at any time:
//
//   work ROUND HANDLE FILE SEED IOCTLS     -> done ROUND ACKNOWLEDGED UNKNOWN NOT-RUN LONGEST, or failed ROUND WHY
//
// Meanwhile it prints each call that took long (Outage).
//
// Rounds run concurrently. At the end of the input the process closes its files and exits.

/// <summary>A process whose clients work on contexts that they share with other processes' clients.</summary>
internal sealed class ClientProcess(IommufdClient client, int number, int workers)
{
    private static readonly TimeSpan BetweenAttempts = TimeSpan.FromMilliseconds(500);

    /// <summary>Runs until the input ends.</summary>
    /// <param name="database">The cluster's membership.</param>
    /// <param name="number">The process's number: 1 for the first.</param>
    /// <param name="workers">Clients on each context.</param>
    /// <param name="cluster">The cluster's id.</param>
    public static async Task RunAsync(string database, int number, int workers, string cluster)
    {
        using var host = await ConnectAsync(database, cluster);
        var process = new ClientProcess(new IommufdClient(host.Services.GetRequiredService<IGrainFactory>()), number, workers);
        Console.WriteLine("ready");
        var rounds = new List<Task>();
        while (await Console.In.ReadLineAsync() is { } line)
        {
            rounds.Add(process.WorkAsync(WorkOrder.Parse(line)));
        }

        await Task.WhenAll(rounds);
        await host.StopAsync();
    }

    // The database may be away at this moment.
    private static async Task<IHost> ConnectAsync(string database, string cluster)
    {
        var begun = Stopwatch.StartNew();
        while (true)
        {
            try
            {
                return await SiloCluster.StartClientAsync(database, cluster: cluster);
            }
            catch (NpgsqlException) when (begun.Elapsed < Eventually.Limit / 2)
            {
                await Task.Delay(BetweenAttempts);
            }
        }
    }

    private async Task WorkAsync(WorkOrder order)
    {
        try
        {
            using var history = new HistoryWriter(order.HistoryPath);
            var tallies = await Task.WhenAll(Enumerable.Range(0, workers).Select(worker => WorkAsync(order, worker, history)));
            Console.WriteLine(order.Done(tallies.Aggregate(Tally.None, (sum, tally) => sum + tally)));
        }
        catch (Exception exception) when (exception is IommufdException or IommufdTransportException)
        {
            Console.WriteLine(order.Failed(exception.Message));
        }
    }

    private async Task<Tally> WorkAsync(WorkOrder order, int index, HistoryWriter history)
    {
        var id = (number * workers) + index;
        await using var file = await client.DuplicateAsync(order.Handle, string.Create(CultureInfo.InvariantCulture, $"chaos client {id}"));
        var worker = new Worker(file, id, history, Console.WriteLine);
        var mix = new IoctlMix((order.Seed * 1_009) + id, Worker.MemoryAddress, Worker.MemoryPages);
        for (var i = 0; i < order.Ioctls; i++)
        {
            await worker.IssueAsync(mix);
        }

        return worker.Tally;
    }
}
