using IommuFd.Client;
using IommuFd.GrainInterfaces;
using IommuFd.Silo.Gateway;
using IommuFd.Uapi;
using Microsoft.Extensions.DependencyInjection;

namespace IommuFd.ClusterTests.Gateway;

/// <summary>The SDK by the gateway's socket: the same API, and what the gateway adds to it.</summary>
public sealed class SdkTests(GatewaySilo silo) : IClassFixture<GatewaySilo>
{
    [Fact]
    public async Task Every_kind_of_request_is_answered_as_by_a_grain_factory()
    {
        var client = new IommufdClient(silo.Path);
        await using var context = await client.OpenAsync("by socket");
        var ioas = await context.AllocateIoasAsync();
        await using var driver = await client.GetDriverAsync(context.Handle, "driver");
        var hold = await driver.HoldAsync(ioas, "why");

        var busy = await Assert.ThrowsAsync<IommufdException>(() => context.DestroyAsync(ioas).AsTask());
        Assert.Equal((Errno.EBUSY, "driver: why"), (busy.Errno, busy.Diagnostic!.Holders.Single().Why));
        Assert.Equal(2, (await context.InspectGraphAsync()).Nodes.Length);
        Assert.Equal(ioas, Assert.Single((await context.InspectAsync(withState: true)).Objects).Object.Id);
        Assert.NotEmpty((await client.ExplainBusyAsync(context.Handle, ioas)).Steps);
        Assert.Null(await client.InspectObjectAsync(context.Handle, new ObjectId(99), default));
        Assert.NotEmpty((await client.TailAsync(context.Handle, new TailRequest(0, 0, 10))).Ioctls);

        var batch = context.CreateBatch();
        batch.Add(IommuCommand.IoasAlloc, default(IommuIoasAlloc));
        batch.Add(IommuCommand.Destroy, new IommuDestroy { Id = 99 });
        var results = await batch.RunAsync();
        Assert.Equal([Errno.None, Errno.ENOENT], results.Select(result => result.Errno));

        await hold.DisposeAsync();
        await context.DestroyAsync(ioas);
    }

    [Fact]
    public async Task A_context_is_not_reached_by_its_own_handle_nor_by_another_users()
    {
        var client = new IommufdClient(silo.Path);
        await using var context = await client.OpenAsync("bound");
        var seal = silo.Services.GetRequiredService<HandleSeal>();
        var own = seal.Open($"user {UserOf()}", context.Handle.Value);
        Assert.Equal(context.Handle.Value, seal.Close($"user {UserOf()}", own));

        // The operator, who has a grain factory, knows it by its own handle; by the gateway that one stands for nothing.
        var grains = new IommufdClient(silo.Services.GetRequiredService<IGrainFactory>());
        Assert.Equal(Errno.None, (await grains.InspectAsync(own, new InspectRequest(default, 1, false))).Errno);
        Assert.Equal(Errno.EBADF, (await Assert.ThrowsAsync<IommufdException>(() => client.InspectAsync(own, new InspectRequest(default, 1, false)))).Errno);
        Assert.Equal(Errno.EBADF, (await Assert.ThrowsAsync<IommufdException>(() => grains.InspectAsync(context.Handle, new InspectRequest(default, 1, false)))).Errno);
        Assert.NotEqual(own, seal.Open("user 4711", context.Handle.Value));
    }

    [Fact]
    public async Task A_gateway_that_is_not_there_is_a_transport_failure_that_names_it()
    {
        var client = new IommufdClient("/nowhere/socket", new IommufdClientOptions { RetryFor = TimeSpan.Zero });

        var failure = await Assert.ThrowsAsync<IommufdTransportException>(() => client.OpenAsync("nobody"));

        Assert.Contains("No gateway answers at '/nowhere/socket'", failure.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_batch_beyond_what_a_frame_carries_is_E2BIG_and_the_connection_goes_on()
    {
        var client = new IommufdClient(silo.Path);
        await using var context = await client.OpenAsync("large");
        var argument = UapiStruct.ToBytes(new IommuIoasAllowIovas { Size = 24, IoasId = 1, NumIovas = 65_536, AllowedIovas = 0x100000 });
        var memory = new CallerMemory().Add(0x10000, argument).Add(0x100000, new byte[1 << 20]);
        var batch = context.CreateBatch();
        for (var i = 0; i < 17; i++)
        {
            batch.Add((uint)IommuCommand.IoasAllowIovas, 0x10000, memory);
        }

        Assert.Equal(Errno.E2BIG, (await Assert.ThrowsAsync<IommufdException>(() => batch.RunAsync())).Errno);
        await context.AllocateIoasAsync();
    }

    private static string UserOf() => File.ReadLines("/proc/self/status").First(line => line.StartsWith("Uid:", StringComparison.Ordinal)).Split('\t')[1];
}
