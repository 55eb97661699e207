using IommuFd.Client;
using IommuFd.GrainInterfaces;
using IommuFd.Uapi;
using Orleans.TestingHost;

namespace IommuFd.ClusterTests.Monitoring;

/// <summary>What people at a prompt see of a cluster: <c>iommufd why</c>, <c>tail</c> and <c>top</c>; and that following <c>why</c> works.</summary>
public sealed class MonitorCommandTests(MonitorFixture fixture) : IClassFixture<MonitorFixture>
{
    private SiloHandle Silo => fixture.Cluster.Silos[0];

    [Fact]
    public async Task Why_says_who_holds_an_object_and_following_it_frees_the_object()
    {
        var client = await fixture.ConnectAsync(Silo);
        await using var context = await client.OpenAsync("why");
        var ioas = await context.AllocateIoasAsync();
        await using var driver = await client.GetDriverAsync(context.Handle, "vfio");
        await using var device = await driver.BindDeviceAsync(new DeviceDescription { Name = "0000:01:00.0" });
        var hwpt = await device.AttachAsync(ioas);
        await using var access = await driver.CreateAccessAsync(ioas, context.Memory);

        var explanation = await context.ExplainBusyAsync(ioas);
        Assert.Equal([(BusyStepKind.DetachAccess, access.Id), (BusyStepKind.DetachDevice, device.Id)], explanation.Steps.Select(step => (step.Kind, step.Object.Id)));
        Assert.Equal((3L, false), (explanation.Users, explanation.GoesWithLastStep));

        var words = await RunAsync("why", $"{context.Handle}", $"{ioas}");
        Assert.Contains($"IOAS {ioas} is busy, users 3:", words, StringComparison.Ordinal);
        Assert.Contains($"held by HWPT {hwpt} (mirroring it)", words, StringComparison.Ordinal);
        Assert.Contains($"1. detach access {access.Id} (by driver 'vfio'); releases IOAS {ioas}", words, StringComparison.Ordinal);
        Assert.Contains($"2. detach device {device.Id} (by driver 'vfio'); releases HWPT {hwpt}, IOAS {ioas}", words, StringComparison.Ordinal);
        Assert.Contains($"Then IOMMU_DESTROY of IOAS {ioas} works.", words, StringComparison.Ordinal);
        Assert.Contains("\"kind\": \"DetachAccess\"", await RunAsync("why", $"{context.Handle}", $"{ioas}", "--json"), StringComparison.Ordinal);

        await access.DetachAsync();
        await device.DetachAsync();
        Assert.Contains($"IOAS {ioas} is not busy", await RunAsync("why", $"{context.Handle}", $"{ioas}"), StringComparison.Ordinal);
        await context.DestroyAsync(ioas);
        Assert.Equal(Errno.ENOENT, (await Assert.ThrowsAsync<IommufdException>(() => client.ExplainBusyAsync(context.Handle, ioas))).Errno);
        await device.UnbindAsync();
    }

    [Fact]
    public async Task Tail_shows_the_last_ioctls_decoded_goes_on_with_those_that_come_and_ends_with_the_context()
    {
        var client = await fixture.ConnectAsync(Silo);
        var context = await client.OpenAsync("tail");
        var ioas = await context.AllocateIoasAsync();
        await context.IoctlAsync(IommuCommand.Destroy, new IommuDestroy { Id = 77 });
        var last = await RunAsync("tail", $"{context.Handle}", "--no-follow");
        Assert.Matches(@"\d\d:\d\d:\d\d\.\d{6} IOMMU_IOAS_ALLOC \{size=12, flags=0x0\} = 0 \{out_ioas_id=1\}", last);
        Assert.Matches(@"IOMMU_DESTROY \{size=8, id=77\} = -1 ENOENT \(no object has the id 77\)", last);
        Assert.DoesNotContain("IOMMU_IOAS_ALLOC", await RunAsync("tail", $"{context.Handle}", "--no-follow", "--lines", "1"), StringComparison.Ordinal);

        await using var follower = fixture.StartCommandLine(Silo, "tail", $"{context.Handle}", "--lines", "1");
        await follower.WaitForLineAsync("id=77");
        await context.DestroyAsync(ioas);
        await follower.WaitForLineAsync("IOMMU_DESTROY {size=8, id=1} = 0 <");
        await context.CloseAsync();
        await follower.WaitForLineAsync("--- the context is closed");
        Assert.True(await follower.WaitForExitAsync() == 0, follower.Output);
        Assert.DoesNotContain("missed", follower.Output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task What_a_follower_missed_is_counted()
    {
        await using var context = await (await fixture.ConnectAsync(Silo)).OpenAsync("missed");
        await using var follower = fixture.StartCommandLine(Silo, "tail", $"{context.Handle}", "--lines", "0");

        // A batch has as many ioctls as are kept, so that two between two looks are too many.
        var ioctls = Enumerable.Range(0, IoctlLimits.MaxBatch).Select(_ => Ioctl()).ToArray();
        await Eventually.TrueAsync(
            async () =>
            {
                await Task.WhenAll(Enumerable.Range(0, 4).Select(_ => Grain(context).IoctlBatchAsync(new IoctlBatchRequest { Requests = ioctls }, default).AsTask()));
                return follower.Output.Contains(" ioctls missed", StringComparison.Ordinal);
            },
            "the follower says how many it missed");
        await context.CloseAsync();
        Assert.True(await follower.WaitForExitAsync() == 0, follower.Output[^1000..]);

        static IoctlRequest Ioctl() => new() { Command = (uint)IommuCommand.Destroy, Argument = UapiStruct.ToBytes(new IommuDestroy { Size = 8, Id = 99 }), WritableBytes = 8 };
    }

    [Fact]
    public async Task Top_shows_silos_errors_and_the_busiest_contexts()
    {
        await using var context = await (await fixture.ConnectAsync(Silo)).OpenAsync("busy [opener]");
        for (var i = 0; i < 20; i++)
        {
            await context.IoctlAsync(IommuCommand.Destroy, new IommuDestroy { Id = 77 });
        }

        await context.AllocateIoasAsync();
        var shown = await RunAsync("top", "--once");
        Assert.Contains($"{fixture.Cluster.Silos.Count} silos", shown, StringComparison.Ordinal);
        Assert.Contains("objects: IOAS", shown, StringComparison.Ordinal);
        Assert.Contains("ENOENT", shown, StringComparison.Ordinal);
        Assert.Contains("Active", shown, StringComparison.Ordinal);
        Assert.DoesNotContain($"{context.Handle}", shown, StringComparison.Ordinal);

        await using var live = fixture.StartCommandLine(Silo, "top", "--interval", "0.1");
        await live.WaitForLineAsync("silos");
        await live.SignalAsync("INT");
        Assert.Equal(130, await live.WaitForExitAsync());
    }

    private ContextCalls Grain(IommuContext context) => new GrainChannel(fixture.Cluster.GrainFactory).Find(context.Handle);

    private async Task<string> RunAsync(params string[] arguments)
    {
        await using var command = fixture.StartCommandLine(Silo, arguments);
        Assert.True(await command.WaitForExitAsync() == 0, command.Output);
        return command.Output;
    }
}
