using System.Collections.Concurrent;
using System.Globalization;
using IommuFd.Chaos.Clients;
using IommuFd.Chaos.Outages;
using IommuFd.TestSupport;

namespace IommuFd.Chaos.Faults;

/// <summary>A slot for a client process: when one is killed, the next takes its place.</summary>
internal sealed class ClientSlot : IAsyncDisposable
{
    private readonly string _database;
    private readonly int _number;
    private readonly int _workers;
    private readonly OutageReport _outages;
    private readonly string _cluster;
    private readonly SemaphoreSlim _changing = new(1);
    private readonly ConcurrentDictionary<int, TaskCompletionSource<WorkResult>> _orders = [];
    private ChildProcess? _process;
    private ChildProcess? _killed;
    private Task _watching = Task.CompletedTask;

    /// <summary>A slot without a process.</summary>
    /// <param name="database">The membership of the clients' cluster.</param>
    /// <param name="number">The process's number; 1 is the first.</param>
    /// <param name="workers">Clients on each context.</param>
    /// <param name="outages">Where calls are reported that took long.</param>
    /// <param name="cluster">The cluster's id.</param>
    public ClientSlot(string database, int number, int workers, OutageReport outages, string cluster = SiloCluster.DefaultCluster)
        => (_database, _number, _workers, _outages, _cluster) = (database, number, workers, outages, cluster);

    /// <summary>Starts the first process, and waits until it is connected.</summary>
    public async Task StartAsync()
    {
        _process = ChildProcess.Start("IommuFd.Chaos.dll", "client", _database, Number(_number), Number(_workers), _cluster);
        _process.Printed += Read;
        _watching = WatchAsync(_process);
        await _process.WaitForLineAsync("ready");
    }

    /// <summary>Has the process work on a context.</summary>
    /// <returns>The result, without a tally if the process was killed or failed.</returns>
    public async Task<WorkResult> WorkAsync(WorkOrder order)
    {
        var done = new TaskCompletionSource<WorkResult>(TaskCreationOptions.RunContinuationsAsynchronously);
        await _changing.WaitAsync();
        try
        {
            _orders[order.Round] = done;
            await _process!.WriteLineAsync(order.ToString());
        }
        finally
        {
            _changing.Release();
        }

        return await done.Task;
    }

    /// <summary>Kills the process and starts the next.</summary>
    public async Task KillAsync()
    {
        await _changing.WaitAsync();
        try
        {
            var killed = _process!;
            _killed = killed;
            await killed.SignalAsync("KILL");
            await _watching;
            await killed.DisposeAsync();
            await StartAsync();
        }
        finally
        {
            _changing.Release();
        }
    }

    public async ValueTask DisposeAsync()
    {
        if (_process is not null)
        {
            await _process.DisposeAsync();
        }

        _changing.Dispose();
    }

    private static string Number(int number) => number.ToString(CultureInfo.InvariantCulture);

    private async Task WatchAsync(ChildProcess process)
    {
        await process.Exited;
        foreach (var order in _orders.Keys)
        {
            End(order, process == _killed ? new WorkResult(null, WasKilled: true, null) : new WorkResult(null, WasKilled: false, $"their process exited by itself:\n{process.Output}"));
        }
    }

    private void Read(string line)
    {
        if (WorkOrder.ParseDone(line) is var (round, tally))
        {
            End(round, new WorkResult(tally, WasKilled: false, null));
        }
        else if (WorkOrder.ParseFailed(line) is var (failed, why))
        {
            End(failed, new WorkResult(null, WasKilled: false, why));
        }
        else if (Outage.Parse("calls", line) is { } outage)
        {
            _outages.Add(outage);
        }
    }

    private void End(int round, WorkResult result)
    {
        if (_orders.TryRemove(round, out var done))
        {
            done.TrySetResult(result);
        }
    }
}

/// <summary>The result of an order.</summary>
/// <param name="Tally">The clients' counts; null if they were not reported.</param>
/// <param name="WasKilled">Whether their process was killed.</param>
/// <param name="Failure">Why the clients failed; null if they did not.</param>
internal sealed record WorkResult(Tally? Tally, bool WasKilled, string? Failure);
