using System.Collections.Concurrent;
using IommuFd.Client;
using IommuFd.Uapi;

namespace IommuFd.ClusterTests;

/// <summary>Silos leave and join while ioctls flow: every request ends, with its errno or with a transport error that says what is known.</summary>
public sealed class SiloChangeTests(ClusterFixture fixture) : IClassFixture<ClusterFixture>
{
    private const int Workers = 16;

    private readonly ConcurrentDictionary<string, int> _outcomes = new();
    private int _requests;

    [Fact]
    public async Task No_request_hangs_when_a_silo_stops_and_another_is_added()
    {
        var client = new IommufdClient(fixture.Cluster.GrainFactory);
        using var stop = new CancellationTokenSource();
        var workers = Enumerable.Range(0, Workers).Select(worker => Task.Run(() => WorkAsync(client, worker, stop.Token))).ToArray();

        await RequestsAsync(4_000);
        var leaving = fixture.Cluster.SecondarySilos[^1];
        await fixture.Cluster.StopSiloAsync(leaving);
        await RequestsAsync(4_000);
        var joining = await fixture.Cluster.StartAdditionalSiloAsync();
        await RequestsAsync(4_000);
        await stop.CancelAsync();
        await Task.WhenAll(workers).WaitAsync(Eventually.Limit);

        Assert.True(joining.IsActive, "the silo that was added is active");
        Assert.True(_outcomes.GetValueOrDefault("None") > 8_000, $"most requests succeed: {Show()}");
        Assert.True(_outcomes.Keys.All(outcome => outcome is "None" or "EBADF" or "transport"),
            $"a request answers its errno, EBADF for a context that left with its silo, or a transport error: {Show()}");
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
                    var ioas = await EndedAsync(() => context.AllocateIoasAsync().AsTask());
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
        catch (IommufdTransportException)
        {
            outcome = "transport";
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
