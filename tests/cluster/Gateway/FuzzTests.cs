using System.Diagnostics;
using System.Globalization;
using IommuFd.Client;
using IommuFd.Silo.Gateway;
using Microsoft.Extensions.DependencyInjection;
using Xunit.Abstractions;

namespace IommuFd.ClusterTests.Gateway;

/// <summary>
/// Mutated frames at both sockets. None crashes the gateway, harms another connection or is kept: 20,000 of them, or as many as <c>IOMMUFD_FUZZ_FRAMES</c> says.
/// </summary>
[Collection(AloneCollection.Name)]
public sealed class FuzzTests(ITestOutputHelper output)
{
    private const string Frames = "IOMMUFD_FUZZ_FRAMES";
    private const int Workers = 4;
    private const long MostGrowth = 16 << 20;
    private const uint LastTag = 0xF0F0F0F0;

    // A connection whose frames are not malformed at once has a request that waits a second for a proof, at most.
    private static readonly TimeSpan MostForAConnection = TimeSpan.FromSeconds(20);

    [Fact]
    public async Task No_frame_crashes_the_gateway_or_harms_another_connection_or_leaves_anything_behind()
    {
        var seed = Seed.Of(output);
        var frames = int.Parse(Environment.GetEnvironmentVariable(Frames) is { Length: > 0 } given ? given : "20000", CultureInfo.InvariantCulture);
        await using var silo = await GatewaySilo.StartAsync(_ => { });
        var idle = await silo.ActivationsAsync();
        await FuzzAsync(silo.Path, seed, 0, Math.Min(frames, 10_000));
        await LeavesNothingAsync(silo, idle, $"seed {seed}");
        var before = Heap();

        var watch = Stopwatch.StartNew();
        using var stop = new CancellationTokenSource();
        var witness = Task.Run(() => WitnessAsync(silo.Path, stop.Token));
        var runs = await Task.WhenAll(Enumerable.Range(1, Workers).Select(worker => Task.Run(() => FuzzAsync(silo.Path, seed, worker, frames / Workers))));
        await stop.CancelAsync();
        var checks = await witness;
        await LeavesNothingAsync(silo, idle, $"seed {seed}");
        var after = 0L;

        // Claims that nobody took, for one, are kept for ten seconds.
        await Eventually.TrueAsync(() => Task.FromResult((after = Heap()) - before < MostGrowth), $"seed {seed}: the heap, which had {before:#,0} bytes, has not grown by {MostGrowth:#,0}");
        output.WriteLine(
            $"{frames} frames on {runs.Sum(run => run.Connections)} connections in {watch.Elapsed.TotalSeconds:0.0} s, the longest took {runs.Max(run => run.Longest).TotalMilliseconds:0} ms; "
            + $"{runs.Sum(run => run.Byes)} ended with BYE, {runs.Sum(run => run.Answers)} answers; {checks} checks of another program; heap {before / 1024:#,0} KiB before, {after / 1024:#,0} KiB after");

        Assert.True(checks > 0, $"seed {seed}: the other program was answered all along");
        Assert.True(runs.All(run => run.Longest < MostForAConnection), $"seed {seed}: no connection takes {MostForAConnection}, one took {runs.Max(run => run.Longest)}");
        Assert.True(runs.Sum(run => run.Byes) > 0 && runs.Sum(run => run.Answers) > 0, $"seed {seed}: some frames are malformed and some are answered");
    }

    [Fact]
    public async Task No_frame_by_TCP_crashes_the_gateway_or_harms_another_connection_or_stays_under_way()
    {
        const int Frames = 4000;
        var seed = Seed.Of(output);
        await using var silo = await RemoteSilo.StartPlainAsync(settings => settings.Attempts = (int.MaxValue / 2, TimeSpan.FromTicks(1)));
        var client = new IommufdClient($"tcp://127.0.0.1:{silo.Port}", new IommufdClientOptions { Credentials = new GatewayCredentials { Token = RemoteSilo.BobToken } });
        var random = new Random(seed);
        var run = new Run();
        await using (var witness = await client.OpenAsync("witness"))
        {
            for (; run.Frames < Frames; run.Connections++)
            {
                var mutator = new FrameMutator(random, new byte[16], new byte[16], RemoteSilo.AliceToken);
                byte[][] frames = [.. mutator.Mutate(mutator.Calls()), WireFrames.Grant(LastTag, new byte[16], "user 0")];
                run.Frames += frames.Length;
                using var connection = await WireConnection.ConnectAsync(silo.Port);
                await connection.TrySendAsync(frames);
                await run.DrainAsync(connection, LastTag);
                await witness.DestroyAsync(await witness.AllocateIoasAsync());
            }
        }

        output.WriteLine($"{run.Frames} frames on {run.Connections} connections: {run.Byes} ended with BYE, {run.Answers} answers");
        Assert.True(run.Byes > 0 && run.Answers > 0, $"seed {seed}: some frames are malformed and some are answered");
        await Eventually.TrueAsync(() => Task.FromResult(silo.Services.GetRequiredService<GatewayContexts>().Uses.AreIdle), $"seed {seed}: nothing counts as under way");
    }

    private static async Task<Run> FuzzAsync(string path, int seed, int worker, int frames)
    {
        var random = new Random(unchecked((seed * (Workers + 1)) + worker));
        var run = new Run();
        while (run.Frames < frames)
        {
            var where = $"seed {seed}, worker {worker}, connection {run.Connections} (frame {run.Frames})";
            var watch = Stopwatch.StartNew();
            try
            {
                await LifeAsync(path, random, run);
            }
            catch (Exception exception)
            {
                throw new InvalidOperationException($"{where}: {exception.Message}", exception);
            }

            run.Connections++;
            run.Longest = watch.Elapsed > run.Longest ? watch.Elapsed : run.Longest;
        }

        return run;
    }

    // A program with a context and a fault queue that it has not claimed, as most frames need a ticket to be worth anything.
    private static async Task LifeAsync(string path, Random random, Run run)
    {
        using var program = await WireProgram.OpenAsync(path);
        var (_, opened) = await program.AllocateFaultQueueAsync();
        var mutator = new FrameMutator(random, program.Ticket, opened.Claim!);
        using var calls = await WireConnection.ConnectAsync(path);
        using var descriptor = await WireConnection.ConnectAsync(path + "-fd");
        byte[][] toCalls = [.. mutator.Mutate(mutator.Calls()), WireFrames.Destroy(LastTag, program.Ticket, 1_000_000)], toDescriptor = mutator.Mutate(mutator.Descriptor());
        run.Frames += toCalls.Length + toDescriptor.Length;
        await calls.TrySendAsync(toCalls);
        await descriptor.TrySendAsync(toDescriptor);
        if (random.Next(8) > 0)
        {
            await run.DrainAsync(calls, LastTag);
        }

        if (random.Next(8) > 0)
        {
            descriptor.TryEndSending();
            await descriptor.DrainAsync();
        }
    }

    // A program that is always answered, and rightly.
    private static async Task<int> WitnessAsync(string path, CancellationToken stop)
    {
        using var program = await WireProgram.OpenAsync(path);
        var checks = 0;
        for (; !stop.IsCancellationRequested; checks++)
        {
            var allocated = await program.AllocateIoasAsync();
            Assert.True(allocated == 1, $"the other program gets IOAS 1, it got {allocated}");
            var destroyed = await program.DestroyAsync(allocated);
            Assert.True(destroyed == 0, $"the other program destroys IOAS 1, the errno was {destroyed}");
        }

        return checks;
    }

    private static async Task LeavesNothingAsync(GatewaySilo silo, int activations, string where)
    {
        await Eventually.TrueAsync(async () => await silo.ActivationsAsync() <= activations, $"{where}: no activation of a context or an object is left");
        await Eventually.TrueAsync(() => Task.FromResult(Connections(silo) == 0), $"{where}: no connection of the gateway's is left");
        await Eventually.TrueAsync(() => Task.FromResult(silo.Services.GetRequiredService<GatewayContexts>().Uses.AreIdle), $"{where}: nothing counts as under way");
    }

    // The kernel's list has the two sockets on which the gateway listens, and each connection that it has accepted.
    private static int Connections(GatewaySilo silo) => File.ReadLines("/proc/net/unix").Count(line => line.Contains(silo.Path, StringComparison.Ordinal)) - 2;

    private static long Heap() => GC.GetTotalMemory(forceFullCollection: true);

    private sealed class Run
    {
        public int Frames { get; set; }

        public int Connections { get; set; }

        public int Byes { get; private set; }

        public int Answers { get; private set; }

        public TimeSpan Longest { get; set; }

        /// <summary>Receives until the last request is answered or the gateway ends the connection. A length that was changed may have swallowed that request.</summary>
        public async Task DrainAsync(WireConnection connection, uint lastTag)
        {
            var drained = ReceiveAsync(connection, lastTag);
            await Task.WhenAny(drained, Task.Delay(TimeSpan.FromMilliseconds(250)));
            connection.TryEndSending();
            await drained;
        }

        private async Task ReceiveAsync(WireConnection connection, uint lastTag)
        {
            while (await connection.ReceiveAsync() is { } frame)
            {
                Byes += frame.Kind == WireFrame.Bye ? 1 : 0;
                Answers += frame.Kind == WireFrame.Bye ? 0 : 1;
                if (frame.Tag == lastTag && frame.Kind is (0x90 or 0xB3))
                {
                    return;
                }
            }
        }
    }
}
