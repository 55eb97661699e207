using System.Globalization;
using System.Net;
using System.Net.Sockets;
using IommuFd.TestSupport;

namespace IommuFd.Chaos.Clients;

// It runs until its standard input ends, and then prints how much it did. Silos end and start meanwhile, so nothing that it misses is an error.

/// <summary>A client that means harm: spoiled frames at the gateways' sockets, noise at the silos' ports, connections that say nothing or read nothing.</summary>
internal sealed class HostileClient(Random random, string[] paths, int[] ports)
{
    private const int Workers = 4;
    private const uint LastTag = 0xF0F0F0F0;

    private static readonly TimeSpan Longest = TimeSpan.FromSeconds(2);

    private int _lives;

    /// <summary>Runs until the input ends.</summary>
    /// <param name="seed">Of its choices.</param>
    /// <param name="paths">The gateways' sockets.</param>
    /// <param name="ports">The silos' ports for silos and for clients.</param>
    public static async Task RunAsync(int seed, string[] paths, int[] ports)
    {
        using var over = new CancellationTokenSource();
        var workers = Enumerable.Range(0, Workers).Select(worker => new HostileClient(new Random((seed * Workers) + worker), paths, ports)).ToList();
        var working = Task.WhenAll(workers.Select(worker => Task.Run(() => worker.WorkAsync(over.Token))));
        Console.WriteLine("ready");
        while (await Console.In.ReadLineAsync() is not null)
        {
        }

        await over.CancelAsync();
        await working;
        Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"over: {workers.Sum(worker => worker._lives)} connections"));
    }

    private async Task WorkAsync(CancellationToken over)
    {
        while (!over.IsCancellationRequested)
        {
            try
            {
                await (random.Next(4) switch
                {
                    0 => NoiseAsync(),
                    1 => DeafAsync(),
                    _ => SpoiledAsync(),
                }).WaitAsync(Eventually.Limit, over);
                _lives++;
            }
            catch (Exception exception) when (exception is SocketException or IOException or TimeoutException or OperationCanceledException or Xunit.Sdk.XunitException)
            {
                // The silo is away, or has ended the connection: both are right.
            }

            // It is paced: what it does is to harm, and not that it takes the machine's time from all others.
            await Task.Delay(TimeSpan.FromMilliseconds(random.Next(20, 200)), CancellationToken.None);
        }
    }

    private string Path() => paths[random.Next(paths.Length)];

    // A program with a context and a queue that it does not claim, whose frames are spoiled.
    private async Task SpoiledAsync()
    {
        var path = Path();
        using var program = await WireProgram.OpenAsync(path);
        var (_, opened) = await program.AllocateFaultQueueAsync();
        var mutator = new FrameMutator(random, program.Ticket, opened.Claim!);
        using var calls = await WireConnection.ConnectAsync(path);
        using var descriptor = await WireConnection.ConnectAsync(path + "-fd");
        await calls.TrySendAsync([.. mutator.Mutate(mutator.Calls()), WireFrames.Destroy(LastTag, program.Ticket, 1_000_000)]);
        await descriptor.TrySendAsync(mutator.Mutate(mutator.Descriptor()));
        calls.TryEndSending();
        await calls.DrainAsync();
    }

    // Many requests, of whose answers it reads none.
    private async Task DeafAsync()
    {
        using var program = await WireProgram.OpenAsync(Path());
        for (var sent = 0; sent < 1000; sent++)
        {
            await program.Calls.TrySendAsync(WireFrames.IoasAlloc(program.NextTag(), program.Ticket));
        }
    }

    // Too little for a proof, or a wrong one.
    private async Task NoiseAsync()
    {
        using var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        await socket.ConnectAsync(IPAddress.Loopback, ports[random.Next(ports.Length)]);
        var bytes = new byte[random.Next(300)];
        random.NextBytes(bytes);
        using var limit = new CancellationTokenSource(Longest * random.NextDouble());
        await socket.SendAsync(bytes, limit.Token);
        while (await socket.ReceiveAsync(bytes.Length > 0 ? bytes : new byte[1], limit.Token) > 0)
        {
        }
    }
}
