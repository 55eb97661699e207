using IommuFd.Client;
using IommuFd.GrainInterfaces;
using IommuFd.Silo;
using IommuFd.Uapi;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;

namespace IommuFd.ClusterTests.Ioctls;

/// <summary>The SDK against a silo in its own process.</summary>
public sealed class SdkTests : IAsyncLifetime
{
    private IHost _host = null!;
    private IommufdClient _client = null!;

    public async Task InitializeAsync()
    {
        _host = await SiloHost.StartInProcessAsync();
        _client = new IommufdClient(_host.Services.GetRequiredService<IGrainFactory>());
    }

    public async Task DisposeAsync()
    {
        await _host.StopAsync();
        _host.Dispose();
    }

    [Fact]
    public async Task An_object_that_is_destroyed_and_allocated_again_starts_afresh()
    {
        await using var context = await _client.OpenAsync();
        var ioas = await context.AllocateIoasAsync();
        await context.SetHugePagesAsync(ioas, enable: false);
        await context.DestroyAsync(ioas);

        Assert.Equal(ioas, await context.AllocateIoasAsync());
        Assert.True(await context.GetHugePagesAsync(ioas), $"IOAS {ioas} has the default, not what its predecessor had");
    }

    [Fact]
    public async Task An_open_context_and_its_objects_survive_the_collection_of_idle_grains()
    {
        await using var context = await _client.OpenAsync();
        var ioas = await context.AllocateIoasAsync();
        await context.SetHugePagesAsync(ioas, enable: false);

        await _host.Services.GetRequiredService<IGrainFactory>().GetGrain<IManagementGrain>(0).ForceActivationCollection(TimeSpan.Zero);

        Assert.False(await context.GetHugePagesAsync(ioas), $"IOAS {ioas} still has what was set");
    }

    [Fact]
    public async Task A_batch_runs_in_order_and_sees_its_own_changes()
    {
        await using var context = await _client.OpenAsync();

        var results = await context.CreateBatch().AllocateIoas().AllocateIoas().Destroy(new ObjectId(1)).AllocateIoas().RunAsync();

        Assert.All(results, result => Assert.Equal(Errno.None, result.Errno));
        Assert.Equal([1u, 2u, 1u], new[] { 0, 1, 3 }.Select(i => results[i].Read<IommuIoasAlloc>().OutIoasId));
    }

    [Theory]
    [InlineData(true, 2, 0)]
    [InlineData(false, 3, 1)]
    public async Task A_batch_stops_at_the_first_error_if_it_should(bool stop, int ran, int objects)
    {
        await using var context = await _client.OpenAsync();
        var ioas = await context.AllocateIoasAsync();

        var results = await context.CreateBatch().Destroy(ioas).Destroy(ioas).AllocateIoas().RunAsync(stop);

        Assert.Equal(ran, results.Count);
        Assert.Equal(Errno.ENOENT, results[1].Errno);
        Assert.Equal(objects, (await context.InspectAsync()).ObjectCount);
    }

    [Fact]
    public async Task A_batch_beyond_the_limit_is_E2BIG_and_runs_nothing()
    {
        await using var context = await _client.OpenAsync();
        var batch = context.CreateBatch();
        for (var i = 0; i <= IoctlLimits.MaxBatch; i++)
        {
            batch.AllocateIoas();
        }

        var refused = await Assert.ThrowsAsync<IommufdException>(() => batch.RunAsync());

        Assert.Equal(Errno.E2BIG, refused.Errno);
        Assert.Equal(0, (await context.InspectAsync()).ObjectCount);
    }

    [Fact]
    public async Task A_batch_on_memory_copies_back_what_each_ioctl_answered()
    {
        await using var context = await _client.OpenAsync();
        var args = new byte[64];
        args[0] = args[32] = 12;
        var memory = new CallerMemory().Add(0x1000, args);

        var results = await context.CreateBatch()
            .Add((uint)IommuCommand.IoasAlloc, 0x1000, memory)
            .Add((uint)IommuCommand.IoasAlloc, 0x1020, memory)
            .Add((uint)IommuCommand.IoasAlloc, 0x9000, memory)
            .RunAsync();

        Assert.Equal([Errno.None, Errno.None, Errno.EFAULT], results.Select(result => result.Errno));
        Assert.Equal((1, 2), (args[8], args[40]));
    }

    [Fact]
    public async Task A_raw_ioctl_changes_the_bytes_it_was_given()
    {
        await using var context = await _client.OpenAsync();
        var argument = new byte[12];
        argument[0] = 12;

        var result = await context.IoctlAsync((uint)IommuCommand.IoasAlloc, argument);

        Assert.True(result.Succeeded);
        Assert.Equal(1, argument[8]);
    }

    [Fact]
    public async Task Options_of_a_context_are_set_while_it_is_empty_and_refused_with_its_objects_after()
    {
        await using var context = await _client.OpenAsync();
        await context.SetRlimitModeAsync(RlimitMode.Process);
        Assert.Equal(RlimitMode.Process, await context.GetRlimitModeAsync());
        var ioas = await context.AllocateIoasAsync();

        var busy = await Assert.ThrowsAsync<IommufdException>(() => context.SetRlimitModeAsync(RlimitMode.User).AsTask());

        Assert.Equal(Errno.EBUSY, busy.Errno);
        Assert.Contains($"IOAS {ioas}", busy.Message, StringComparison.Ordinal);
        Assert.Equal(RlimitMode.Process, await context.GetRlimitModeAsync());
    }

    [Fact]
    public async Task The_compatibility_IOAS_is_cleared_by_destroying_it()
    {
        await using var context = await _client.OpenAsync();
        Assert.Null(await context.GetCompatIoasAsync());
        var ioas = await context.AllocateIoasAsync();
        await context.SetCompatIoasAsync(ioas);
        Assert.Equal(ioas, await context.GetCompatIoasAsync());

        await context.DestroyAsync(ioas);
        Assert.Null(await context.GetCompatIoasAsync());
    }

    [Fact]
    public async Task A_context_answers_no_ioctl_after_its_last_file_and_is_released_with_its_last_driver()
    {
        var context = await _client.OpenAsync();
        var duplicate = await _client.DuplicateAsync(context.Handle);
        await using var driver = await _client.GetDriverAsync(context.Handle, "driver");
        var ioas = await context.AllocateIoasAsync();
        await driver.HoldAsync(ioas, "work");

        Assert.Null(await context.CloseAsync());
        Assert.Equal([ioas], (await duplicate.InspectAsync()).Objects.Select(item => item.Object.Id));
        Assert.Null(await duplicate.CloseAsync());
        var closed = await duplicate.IoctlAsync(IommuCommand.Destroy, new IommuDestroy { Id = ioas.Value });
        Assert.Equal(Errno.EBADF, closed.Errno);

        var release = await driver.PutAsync();
        Assert.Equal([new ObjectRef(ObjectType.Ioas, ioas)], release!.Order);
        var gone = await Assert.ThrowsAsync<IommufdException>(() => driver.PutAsync());
        Assert.Equal(Errno.EBADF, gone.Errno);
    }

    [Fact]
    public async Task A_text_that_is_no_handle_is_EBADFD_to_a_driver_and_a_closed_handle_EBADF()
    {
        var context = await _client.OpenAsync();
        await context.DisposeAsync();

        Assert.Equal(Errno.EBADFD, (await Assert.ThrowsAsync<IommufdException>(() => _client.GetDriverAsync("eventfd:7", "driver"))).Errno);
        Assert.Equal(Errno.EBADF, (await Assert.ThrowsAsync<IommufdException>(() => _client.GetDriverAsync($"{context.Handle}", "driver"))).Errno);
    }

    [Fact]
    public async Task An_inspection_goes_page_by_page()
    {
        await using var context = await _client.OpenAsync();
        var batch = context.CreateBatch();
        for (var i = 0; i < 25; i++)
        {
            batch.AllocateIoas();
        }

        await batch.RunAsync();
        var seen = new List<uint>();
        ContextInspection page;
        do
        {
            page = await context.InspectAsync(after: new ObjectId(seen.LastOrDefault()), limit: 10, withState: true);
            Assert.Equal(25, page.ObjectCount);
            seen.AddRange(page.Objects.Select(item => item.Object.Id.Value));
        }
        while (page.HasMore);

        Assert.Equal(Enumerable.Range(1, 25).Select(id => (uint)id), seen);
    }
}
