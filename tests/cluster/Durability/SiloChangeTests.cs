using System.Collections.Concurrent;
using IommuFd.Client;
using IommuFd.Uapi;
using Orleans.TestingHost;

namespace IommuFd.ClusterTests.Durability;

/// <summary>Silos leave, die and join while ioctls flow: every request is answered, and none is sent by anybody but the SDK a second time.</summary>
public sealed class SiloChangeTests(ClusterFixture fixture) : IClassFixture<ClusterFixture>
{
    private const int Workers = 16;

    private readonly ConcurrentDictionary<string, int> _outcomes = new();
    private int _requests;
    private int _wrong;

    [Fact]
    public Task Every_request_is_answered_as_ever_when_a_silo_stops_and_another_is_added() => WorkWhileAsync(fixture.Cluster.StopSiloAsync, []);

    [Fact]
    public Task Every_request_is_answered_when_a_silo_is_killed_and_another_is_added() => WorkWhileAsync(fixture.Cluster.KillSiloAsync, ["EBADF", "EIO"]);

    // A context that was on a silo that is killed is EBADF, and EIO where its dying silo has lost an object before the context. One that stops hands its contexts over.
    private async Task WorkWhileAsync(Func<SiloHandle, Task> end, string[] losses)
    {
        var client = new IommufdClient(fixture.Cluster.GrainFactory);
        using var stop = new CancellationTokenSource();
        var workers = Enumerable.Range(0, Workers).Select(worker => Task.Run(() => WorkAsync(client, worker, stop.Token))).ToArray();

        await RequestsAsync(4_000);
        var leaving = fixture.Cluster.SecondarySilos[^1];
        await end(leaving);
        await RequestsAsync(4_000);
        var joining = await fixture.Cluster.StartAdditionalSiloAsync();
        await RequestsAsync(4_000);
        await stop.CancelAsync();
        await Task.WhenAll(workers).WaitAsync(Eventually.Limit);

        Assert.True(joining.IsActive, "the silo that was added is active");
        Assert.True(_outcomes.GetValueOrDefault("None") > 8_000, $"most requests succeed: {Show()}");
        Assert.True(_outcomes.Keys.All(outcome => outcome == "None" || losses.Contains(outcome)), $"a request succeeds, or is {string.Join(" or ", losses)}: {Show()}");
        Assert.True(_wrong == 0, $"a request that is sent again is done once: {_wrong} contexts have another number of objects than was answered");
    }

    private string Show() => string.Join(", ", _outcomes.Select(outcome => $"{outcome.Key} {outcome.Value}"));

    private async Task RequestsAsync(int count)
    {
        var target = Volatile.Read(ref _requests) + count;
        await Eventually.TrueAsync(() => Task.FromResult(Volatile.Read(ref _requests) >= target), $"{count} more requests ended: {Show()}");
    }

    // The life of a context, again and again; a context that was lost is opened anew.
    private async Task WorkAsync(IommufdClient client, int worker, CancellationToken stop)
    {
        while (!stop.IsCancellationRequested)
        {
            if (await EndedAsync(() => client.OpenAsync($"worker {worker}")) is not { } context)
            {
                continue;
            }

            await using (context)
            {
                for (var i = 0; i < 20; i++)
                {
                    // The lowest free id: an IOAS that was allocated twice, or is destroyed no more, would change it.
                    var ioas = await EndedAsync(() => context.AllocateIoasAsync().AsTask());
                    _ = ioas.Value > 1 ? Interlocked.Increment(ref _wrong) : 0;
                    await EndedAsync(() => context.GetHugePagesAsync(ioas).AsTask());
                    await EndedAsync(async () =>
                    {
                        await context.DestroyAsync(ioas);
                        return true;
                    });
                }
            }

            await Task.Yield();
        }
    }

    private async Task<T?> EndedAsync<T>(Func<Task<T>> request)
    {
        var outcome = nameof(Errno.None);
        try
        {
            return await request().WaitAsync(Eventually.Limit);
        }
        catch (IommufdException exception)
        {
            outcome = $"{exception.Errno}";
            return default;
        }
        catch (IommufdTransportException exception)
        {
            outcome = exception.Message;
            return default;
        }
        catch (TimeoutException)
        {
            outcome = "hung";
            return default;
        }
        finally
        {
            _outcomes.AddOrUpdate(outcome, 1, (_, count) => count + 1);
            Interlocked.Increment(ref _requests);
        }
    }
}
