using IommuFd.Client;
using IommuFd.Grains.Configuration;
using IommuFd.Silo;
using IommuFd.Uapi;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;

namespace IommuFd.ClusterTests.Ioctls;

/// <summary>The mailbox is the rwsem: what the order of turns promises.</summary>
public sealed class TurnTests : IAsyncLifetime
{
    private readonly BlockedObjects _objects = new();
    private IHost _host = null!;
    private IommufdClient _client = null!;

    public async Task InitializeAsync()
    {
        _host = await SiloHost.StartInProcessAsync(silo => silo.AddIncomingGrainCallFilter(_objects), new ContextOptions { CallsNearObjects = false });
        _client = new IommufdClient(_host.Services.GetRequiredService<IGrainFactory>());
    }

    public async Task DisposeAsync()
    {
        _objects.Open();
        await _host.StopAsync();
        _host.Dispose();
    }

    [Fact]
    public async Task An_inspection_is_answered_while_a_turn_runs()
    {
        await using var context = await _client.OpenAsync();
        var ioas = await context.AllocateIoasAsync();
        var running = context.SetHugePagesAsync(ioas, enable: false).AsTask();
        await _objects.Arrived.WaitAsync(Eventually.Limit);

        var inspection = await context.InspectAsync().WaitAsync(Eventually.Limit);

        Assert.Equal(ioas, Assert.Single(inspection.Objects).Object.Id);
        Assert.False(running.IsCompleted, "the turn still runs");
        _objects.Open();
        await running.WaitAsync(Eventually.Limit);
    }

    [Fact]
    public async Task A_destroy_waits_for_an_operation_and_what_comes_behind_it_is_ENOENT()
    {
        await using var context = await _client.OpenAsync();
        var ioas = await context.AllocateIoasAsync();
        var operation = context.SetHugePagesAsync(ioas, enable: false).AsTask();
        await _objects.Arrived.WaitAsync(Eventually.Limit);
        var destroy = context.DestroyAsync(ioas).AsTask();
        var behind = context.GetHugePagesAsync(ioas).AsTask();

        Assert.False(destroy.IsCompleted, $"DESTROY of IOAS {ioas} waits for the operation on it");
        _objects.Open();

        await operation.WaitAsync(Eventually.Limit);
        await destroy.WaitAsync(Eventually.Limit);
        var late = await Assert.ThrowsAsync<IommufdException>(() => behind.WaitAsync(Eventually.Limit));
        Assert.Equal(Errno.ENOENT, late.Errno);
    }

    [Fact]
    public async Task Cancellation_stops_the_waiting_and_not_the_ioctl()
    {
        await using var context = await _client.OpenAsync();
        var ioas = await context.AllocateIoasAsync();
        using var cancel = new CancellationTokenSource();
        var set = context.SetHugePagesAsync(ioas, enable: false, cancel.Token).AsTask();
        await _objects.Arrived.WaitAsync(Eventually.Limit);

        await cancel.CancelAsync();

        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => set);
        _objects.Open();
        Assert.False(await context.GetHugePagesAsync(ioas), "the ioctl ran to its end");
    }
}
