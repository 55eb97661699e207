using System.Text.Json;
using IommuFd.Client;
using IommuFd.GrainInterfaces;
using IommuFd.Grains.Objects.Ioas;
using IommuFd.Uapi;

namespace IommuFd.ClusterTests.Ioctls;

/// <summary>Contexts on three silos, reached from all sides.</summary>
public sealed class ClusterTests(ClusterFixture fixture) : IClassFixture<ClusterFixture>
{
    [Fact]
    public async Task A_context_opened_through_one_silo_is_the_same_through_the_others()
    {
        var clients = await Task.WhenAll(fixture.Cluster.Silos.Take(3).Select(fixture.ConnectAsync));
        await using var opened = await clients[0].OpenAsync("first");
        var ioas = await opened.AllocateIoasAsync();

        foreach (var client in clients[1..])
        {
            await using var same = await client.DuplicateAsync(opened.Handle, "other");
            await same.SetHugePagesAsync(ioas, enable: false);
            Assert.False(await opened.GetHugePagesAsync(ioas), $"IOAS {ioas} shows what was set through another silo");
            await opened.SetHugePagesAsync(ioas, enable: true);
        }

        await using var driver = await clients[1].GetDriverAsync(opened.Handle.ToString(), "driver");
        await using var hold = await driver.HoldAsync(ioas, "through another silo");
        await using var third = await clients[2].DuplicateAsync(opened.Handle);
        var busy = await Assert.ThrowsAsync<IommufdException>(() => third.DestroyAsync(ioas).AsTask());
        Assert.Equal(Errno.EBUSY, busy.Errno);
        Assert.Equal("driver: through another silo", Assert.Single(busy.Holders).Why);
    }

    [Fact]
    public async Task An_Orleans_client_in_another_process_reaches_contexts_of_any_silo()
    {
        var client = await fixture.ConnectAsync(fixture.Cluster.Silos[0]);
        await using var context = await client.OpenAsync("this process");
        var ioas = await context.AllocateIoasAsync();
        await context.SetHugePagesAsync(ioas, enable: false);

        foreach (var silo in fixture.Cluster.Silos.Take(3))
        {
            await using var inspect = fixture.StartCommandLine(silo, "inspect", $"{context.Handle}", "--json");
            Assert.True(await inspect.WaitForExitAsync() == 0, inspect.Output);
            using var shown = JsonDocument.Parse(inspect.Output);
            var shownIoas = Assert.Single(shown.RootElement.GetProperty("objects").EnumerateArray().ToList());
            Assert.Equal(ioas.Value, shownIoas.GetProperty("object").GetProperty("id").GetUInt32());
            Assert.False(shownIoas.GetProperty("state").GetProperty("hugePages").GetBoolean());
        }
    }

    [Fact]
    public async Task A_client_in_another_process_issues_ioctls()
    {
        await using var demo = fixture.StartCommandLine(fixture.Cluster.Silos[1], "demo");

        Assert.True(await demo.WaitForExitAsync() == 0, demo.Output);
        Assert.Contains("EBUSY  IOAS 1 is held by driver 'vfio-pci 0000:01:00.0: bound device'", demo.Output, StringComparison.Ordinal);
        Assert.Contains("EBUSY  IOAS 2 is held by HWPT 5 (mirroring it)", demo.Output, StringComparison.Ordinal);
        Assert.Contains("released 5: IOAS 1, then IOAS 2, then IOAS 3, then device 4, then device 6", demo.Output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Objects_are_activated_on_the_silo_of_their_context()
    {
        const int Contexts = 60;
        var clients = await Task.WhenAll(fixture.Cluster.Silos.Take(3).Select(fixture.ConnectAsync));
        var management = fixture.Cluster.GrainFactory.GetGrain<IManagementGrain>(0);
        var silos = new HashSet<string>();
        for (var i = 0; i < Contexts; i++)
        {
            await using var context = await clients[i % clients.Length].OpenAsync($"context {i}");
            var ioas = await context.AllocateActivatedIoasAsync();

            var contextSilo = await management.GetActivationAddress(fixture.Cluster.GrainFactory.GetGrain<IContextGrain>(context.Handle.Key.Value));
            var ioasSilo = await management.GetActivationAddress(fixture.Cluster.GrainFactory.GetGrain<IIoasGrain>($"{context.Handle.Key}/{ioas}"));
            Assert.NotNull(contextSilo);
            Assert.Equal(contextSilo, ioasSilo);
            silos.Add($"{contextSilo}");
        }

        Assert.True(silos.Count > 1, $"{Contexts} contexts are spread over silos; all were on {string.Join(", ", silos)}");
    }

    [Fact]
    public async Task A_handle_that_is_guessed_is_EBADF_and_leaves_no_activation()
    {
        var client = await fixture.ConnectAsync(fixture.Cluster.Silos[0]);
        var handles = Enumerable.Range(0, 20).Select(_ => ContextHandle.NewRandom()).ToList();
        foreach (var handle in handles)
        {
            var refused = await Assert.ThrowsAsync<IommufdException>(() => client.DuplicateAsync(handle));
            Assert.Equal(Errno.EBADF, refused.Errno);
        }

        var management = fixture.Cluster.GrainFactory.GetGrain<IManagementGrain>(0);
        var guessed = handles.Select(handle => fixture.Cluster.GrainFactory.GetGrain<IContextGrain>(handle.Key.Value).GetGrainId()).ToHashSet();

        // The silos are asked, and not the directory: a silo's copy of it can be late, most of all while a cluster begins.
        await Eventually.TrueAsync(
            async () => !(await management.GetDetailedGrainStatistics()).Any(activation => guessed.Contains(activation.GrainId)), "no activation for any of the guessed handles");
    }
}
