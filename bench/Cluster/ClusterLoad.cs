using System.Diagnostics;
using System.Globalization;
using System.Net;
using IommuFd.Client;
using IommuFd.GrainInterfaces;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Orleans.Configuration;

namespace IommuFd.Bench.Cluster;

// Not a benchmark: it keeps the processors of running silos busy for minutes, and checks every second whether the cluster has declared one
// of them dead. Nothing is killed, so every silo declared dead is a false alarm.

/// <summary>Puts a load on a running cluster and watches the states of its silos.</summary>
internal sealed class ClusterLoad(IGrainFactory grains)
{
    public const string Usage = "usage: dotnet run -c Release --project bench -- cluster-load MINUTES WORKERS GATEWAY...   (ADDRESS:PORT, of 'make cluster')";

    private readonly Dictionary<string, SiloStatus> _seen = [];
    private long _ioctls;
    private long _failures;
    private long _longest;

    public static async Task<int> RunAsync(string[] args)
    {
        if (args.Length < 4 || !double.TryParse(args[1], CultureInfo.InvariantCulture, out var minutes) || !int.TryParse(args[2], CultureInfo.InvariantCulture, out var workers))
        {
            Console.Error.WriteLine(Usage);
            return 2;
        }

        var builder = Host.CreateEmptyApplicationBuilder(null);
        builder.UseOrleansClient(client => client
            .UseStaticClustering([.. args[3..].Select(IPEndPoint.Parse)])
            .UseIommufdSecret()
            .Configure<ClusterOptions>(cluster => (cluster.ClusterId, cluster.ServiceId) = ("iommufd", "iommufd")));
        using var host = builder.Build();
        await host.StartAsync();
        var falseAlarms = await new ClusterLoad(host.Services.GetRequiredService<IGrainFactory>()).LoadAsync(TimeSpan.FromMinutes(minutes), workers);
        await host.StopAsync();
        return falseAlarms == 0 ? 0 : 1;
    }

    private async Task<int> LoadAsync(TimeSpan time, int workers)
    {
        var client = new IommufdClient(grains);
        using var stop = new CancellationTokenSource(time);
        var load = Enumerable.Range(0, workers).Select(worker => Task.Run(() => WorkAsync(client, worker % 2 == 0 ? ContextMode.Volatile : ContextMode.Durable, stop.Token))).ToArray();
        var started = Stopwatch.GetTimestamp();
        using var second = new PeriodicTimer(TimeSpan.FromSeconds(1));
        while (!stop.IsCancellationRequested)
        {
            await second.WaitForNextTickAsync(CancellationToken.None);
            await LookAsync(Stopwatch.GetElapsedTime(started));
        }

        await Task.WhenAll(load);
        var dead = _seen.Count(silo => silo.Value == SiloStatus.Dead);
        Console.WriteLine(string.Create(
            CultureInfo.InvariantCulture,
            $"{time.TotalMinutes:F1} minutes, {workers} workers: {_ioctls:N0} ioctls ({_ioctls / time.TotalSeconds:N0} a second), {_failures} without an answer, the longest took {TimeSpan.FromTicks(_longest).TotalSeconds:F2} s"));
        Console.WriteLine($"{_seen.Count} silos, {dead} declared dead");
        return dead;
    }

    private async Task LookAsync(TimeSpan at)
    {
        try
        {
            foreach (var (silo, status) in await grains.GetGrain<IManagementGrain>(0).GetHosts())
            {
                var name = silo.ToString();
                if (status != SiloStatus.Dead || _seen.ContainsKey(name))
                {
                    if (_seen.TryGetValue(name, out var before) && before != status)
                    {
                        Console.WriteLine($"{at.TotalSeconds:F0} s: {name} is {status}");
                    }

                    _seen[name] = status;
                }
            }
        }
        catch (Exception exception) when (exception is OrleansException or TimeoutException)
        {
            Console.WriteLine($"{at.TotalSeconds:F0} s: the cluster does not answer: {exception.Message.Split('.')[0]}");
        }
    }

    // Mappings and option reads, so that the silos are busy rather than the network.
    private async Task WorkAsync(IommufdClient client, ContextMode mode, CancellationToken stop)
    {
        while (!stop.IsCancellationRequested)
        {
            try
            {
                await using var context = await client.OpenAsync("load", mode, CancellationToken.None);
                var ioas = await context.AllocateIoasAsync(CancellationToken.None);
                var memory = DmaMemory.Allocate(64 * 1024);
                for (var i = 0; i < 100 && !stop.IsCancellationRequested; i++)
                {
                    await Timed(() => context.MapAsync(ioas, memory, cancellationToken: CancellationToken.None).AsTask());
                    await Timed(() => context.GetHugePagesAsync(ioas, CancellationToken.None).AsTask());
                }
            }
            catch (Exception exception) when (exception is IommufdException or IommufdTransportException)
            {
                Interlocked.Increment(ref _failures);
            }
        }
    }

    private async Task Timed<T>(Func<Task<T>> ioctl)
    {
        var started = Stopwatch.GetTimestamp();
        await ioctl();
        var took = Stopwatch.GetElapsedTime(started).Ticks;
        Interlocked.Increment(ref _ioctls);
        for (var longest = Volatile.Read(ref _longest); took > longest; longest = Volatile.Read(ref _longest))
        {
            Interlocked.CompareExchange(ref _longest, took, longest);
        }
    }
}
