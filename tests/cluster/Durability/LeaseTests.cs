using System.Text.RegularExpressions;
using IommuFd.Client;
using IommuFd.GrainInterfaces;
using IommuFd.Grains.Configuration;
using IommuFd.Uapi;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Options;
using Orleans.TestingHost;

namespace IommuFd.ClusterTests.Durability;

/// <summary>Silos that give back what nothing was heard of for two seconds.</summary>
public sealed class ShortLeases : ClusterFixture
{
    public static readonly TimeSpan Lease = TimeSpan.FromSeconds(2);

    protected override void Configure(TestClusterBuilder builder) => builder.AddSiloBuilderConfigurator<Configurator>();

    private sealed class Configurator : ISiloConfigurator
    {
        public void Configure(ISiloBuilder siloBuilder) => siloBuilder.Services.AddSingleton(Options.Create(new ContextOptions { Lease = Lease }));
    }
}

/// <summary>What a process has open goes when nothing is heard of it any more, and not before.</summary>
public sealed partial class LeaseTests(ShortLeases fixture) : IClassFixture<ShortLeases>
{
    [Fact]
    public async Task Contexts_of_a_client_that_renews_stay_and_those_of_one_that_stopped_go()
    {
        var living = await fixture.ConnectAsync(fixture.Cluster.Silos[0]);
        var stopped = await fixture.ConnectAsync(fixture.Cluster.Silos[1]);
        var kept = await Task.WhenAll(Enumerable.Range(0, 100).Select(i => living.OpenAsync($"kept {i}")));
        var left = await Task.WhenAll(Enumerable.Range(0, 100).Select(i => stopped.OpenAsync($"left {i}")));

        stopped.Stop();

        foreach (var context in left)
        {
            await Eventually.TrueAsync(() => IsGoneAsync(living, context.Handle), $"the context of a client that renews no more is released: {context.Handle.Key.Tag}");
        }

        // Each of them has been silent for longer than its lease by now, but for its renewals.
        foreach (var context in kept)
        {
            Assert.False(context.IsLost, "a context that is renewed is not lost");
            Assert.Equal(new ObjectId(1), await context.AllocateIoasAsync());
            await context.CloseAsync();
        }
    }

    [Fact]
    public async Task Requests_alone_keep_a_file_and_a_driver()
    {
        var client = await fixture.ConnectAsync(fixture.Cluster.Silos[0]);
        var context = await client.OpenAsync("busy");
        var driver = await client.GetDriverAsync(context.Handle, "busy");
        client.Stop();

        // Twice as long as a lease lasts: whether it runs out only time itself tells.
        using var timer = new PeriodicTimer(ShortLeases.Lease / 8);
        for (var i = 0; i < 16; i++)
        {
            await timer.WaitForNextTickAsync();
            await context.AllocateIoasAsync();
            await driver.HoldAsync(new ObjectId(1), "busy");
        }

        await driver.PutAsync();
        Assert.Equal(16, (await context.CloseAsync())!.Destroyed);
    }

    [Fact]
    public async Task A_file_that_lost_its_lease_finds_out()
    {
        var client = await fixture.ConnectAsync(fixture.Cluster.Silos[0]);
        var context = await client.OpenAsync("put by somebody");
        var driver = await client.GetDriverAsync(context.Handle, "stays");
        var grain = new GrainChannel(fixture.Cluster.GrainFactory).Find(context.Handle);
        Assert.Equal(Errno.None, (await grain.PutAsync(new ReferenceId(1))).Errno);

        await Eventually.TrueAsync(() => Task.FromResult(context.IsLost), "the next renewal says that the file is gone");
        Assert.False(driver.IsLost, "the driver's reference is there");
        Assert.Equal(Errno.EBADF, (await context.IoctlAsync(IommuCommand.IoasAlloc, default(IommuIoasAlloc))).Errno);
        await driver.PutAsync();
    }

    [Fact]
    public async Task A_driver_whose_process_was_killed_lets_go_of_a_context_and_of_what_it_held_there()
    {
        var client = await fixture.ConnectAsync(fixture.Cluster.Silos[1]);
        await using var program = fixture.StartCommandLine(fixture.Cluster.Silos[0], "demo", "--keep");
        await program.WaitForLineAsync("iommufd graph");
        Assert.True(ContextHandle.TryParse(Handle().Match(program.Output).Groups[1].Value, out var handle), program.Output);
        var context = await client.DuplicateAsync(handle, "another program");
        var held = await context.InspectAsync();
        Assert.Equal(3, held.References.Length);
        Assert.Contains(held.Objects, item => item.Object.Type == ObjectType.Device);

        await program.SignalAsync("KILL");

        await Eventually.TrueAsync(async () => (await context.InspectAsync()).References.Length == 1, "the file and the driver of the process that was killed are gone");
        var after = await context.InspectAsync();
        Assert.DoesNotContain(after.Objects, item => item.Object.Type == ObjectType.Device);
        foreach (var item in after.Objects)
        {
            await context.DestroyAsync(item.Object.Id);
        }

        Assert.Equal(0, (await context.CloseAsync())!.Destroyed);
    }

    [Fact]
    public async Task A_context_of_a_process_that_was_killed_is_released()
    {
        var client = await fixture.ConnectAsync(fixture.Cluster.Silos[1]);
        await using var program = fixture.StartCommandLine(fixture.Cluster.Silos[0], "demo", "--keep");
        await program.WaitForLineAsync("iommufd graph");
        Assert.True(ContextHandle.TryParse(Handle().Match(program.Output).Groups[1].Value, out var handle), program.Output);
        Assert.False(await IsGoneAsync(client, handle), "it is there while its process is");

        await program.SignalAsync("KILL");

        await Eventually.TrueAsync(() => IsGoneAsync(client, handle), "the context is released");
    }

    [Fact]
    public async Task A_program_that_is_interrupted_closes_its_context_itself()
    {
        var client = await fixture.ConnectAsync(fixture.Cluster.Silos[1]);
        await using var program = fixture.StartCommandLine(fixture.Cluster.Silos[0], "demo", "--keep");
        await program.WaitForLineAsync("iommufd graph");
        Assert.True(ContextHandle.TryParse(Handle().Match(program.Output).Groups[1].Value, out var handle), program.Output);

        await program.SignalAsync("INT");

        Assert.True(await program.WaitForExitAsync() == 0, program.Output);
        Assert.True(await IsGoneAsync(client, handle), "it was closed before the program ended");
    }

    private static async Task<bool> IsGoneAsync(IommufdClient client, ContextHandle handle)
    {
        try
        {
            await client.InspectAsync(handle, new InspectRequest(default, 1, WithState: false));
            return false;
        }
        catch (IommufdException gone) when (gone.Errno == Errno.EBADF)
        {
            return true;
        }
    }

    [GeneratedRegex("iommufd graph ([0-9a-f]{32})")]
    private static partial Regex Handle();
}
