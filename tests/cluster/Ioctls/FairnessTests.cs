using IommuFd.Client;
using IommuFd.GrainInterfaces;
using IommuFd.Silo;
using IommuFd.Silo.Journals;
using Microsoft.Extensions.DependencyInjection;

namespace IommuFd.ClusterTests.Ioctls;

/// <summary>
/// Callers in the silo's process that never wait keep nobody from the pool. Their calls and the silo's turns feed each other on a thread's own queue, newest
/// first, so that without the SDK's giving way the pool's other work would stand for tens of seconds.
/// </summary>
public sealed class FairnessTests : IDisposable
{
    private const int Busy = 64;

    // Calls of the busy ones that anything else waits for at most. Without giving way it is some millions.
    private const long MostCalls = 500_000;

    private readonly string _folder = Directory.CreateTempSubdirectory("iommufd-fairness").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Theory]
    [InlineData(1)]
    [InlineData(Busy)]
    public async Task Durable_calls_and_other_work_go_on_beside_callers_that_never_wait(int contexts)
    {
        const int Durable = 50;
        using var host = await SiloHost.StartInProcessAsync(
            journal: new JournalSettings { Store = JournalStoreKind.Sqlite, Path = Path.Combine(_folder, "journal.db"), Synchronous = JournalSynchronous.Normal });
        var client = new IommufdClient(host.Services.GetRequiredService<IGrainFactory>());
        var open = await Task.WhenAll(Enumerable.Range(0, contexts).Select(_ => client.OpenAsync("busy", ContextMode.Volatile)));
        await using var durable = await client.OpenAsync("durable", ContextMode.Durable);
        using var stop = new CancellationTokenSource();
        var calls = 0L;
        var busy = Enumerable.Range(0, Busy).Select(caller => Task.Run(async () =>
        {
            while (!stop.IsCancellationRequested)
            {
                await open[caller % contexts].GetRlimitModeAsync();
                Interlocked.Increment(ref calls);
            }
        })).ToList();

        for (var i = 0; i < Durable; i++)
        {
            await WaitAsync("a durable IOAS_ALLOC", () => durable.AllocateIoasAsync().AsTask());
            await WaitAsync("an empty task", () => Task.Run(static () => { }));
        }

        await stop.CancelAsync();
        await Task.WhenAll(busy).WaitAsync(Eventually.Limit);
        Assert.Equal(Durable, (await durable.InspectAsync()).ObjectCount);
        await Task.WhenAll(open.Select(context => context.CloseAsync()));
        await host.StopAsync();

        async Task WaitAsync(string what, Func<Task> run)
        {
            var before = Interlocked.Read(ref calls);
            await run().WaitAsync(Eventually.Limit);
            var meanwhile = Interlocked.Read(ref calls) - before;
            Assert.True(meanwhile < MostCalls, $"{what} waited for {meanwhile} calls of the {Busy} busy callers, at most {MostCalls} were expected");
        }
    }
}
