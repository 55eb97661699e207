using IommuFd.GrainInterfaces;
using IommuFd.Uapi;

namespace IommuFd.ClusterTests.Ioctls;

/// <summary>Programs and drivers that act on the same objects at once, from different silos.</summary>
public sealed class RaceTests(ClusterFixture fixture) : IClassFixture<ClusterFixture>
{
    private const int Rounds = 60;
    private const int Programs = 4;

    [Fact]
    public async Task Unbinding_never_fails_however_often_programs_destroy_the_device_meanwhile()
    {
        var clients = await Task.WhenAll(fixture.Cluster.Silos.Select(fixture.ConnectAsync));
        await using var context = await clients[0].OpenAsync("race");
        var ioas = await context.AllocateIoasAsync();
        await using var driver = await clients[1].GetDriverAsync(context.Handle, "driver");
        var answers = new HashSet<Errno>();
        for (var round = 0; round < Rounds; round++)
        {
            var device = await driver.BindDeviceAsync(new DeviceDescription { Name = $"device {round}" });
            await device.AttachAsync(ioas);
            var unbound = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            var programs = Enumerable.Range(0, Programs).Select(async program =>
            {
                await using var file = await clients[program % clients.Length].DuplicateAsync(context.Handle, "program");
                var mine = new List<Errno>();
                do
                {
                    mine.Add((await file.IoctlAsync(IommuCommand.Destroy, new IommuDestroy { Id = device.Id.Value })).Errno);
                }
                while (!unbound.Task.IsCompleted);
                mine.Add((await file.IoctlAsync(IommuCommand.Destroy, new IommuDestroy { Id = device.Id.Value })).Errno);
                return mine;
            }).ToArray();

            // Throws if it fails.
            await device.UnbindAsync();
            unbound.SetResult();
            foreach (var mine in await Task.WhenAll(programs))
            {
                Assert.Equal(Errno.ENOENT, mine[^1]);
                answers.UnionWith(mine);
            }
        }

        Assert.True(answers.IsSubsetOf([Errno.EBUSY, Errno.ENOENT]), $"DESTROY of a bound device answered {string.Join(", ", answers)}");
        var left = await context.InspectAsync();
        Assert.Equal([ioas], left.Objects.Select(item => item.Object.Id));
    }

    [Fact]
    public async Task Of_programs_that_destroy_one_object_one_succeeds_and_a_late_request_gets_ENOENT()
    {
        var clients = await Task.WhenAll(fixture.Cluster.Silos.Select(fixture.ConnectAsync));
        await using var context = await clients[0].OpenAsync("race");
        await using var driver = await clients[1].GetDriverAsync(context.Handle, "driver");
        await using var device = await driver.BindDeviceAsync(new DeviceDescription { Name = "device" });
        var files = await Task.WhenAll(Enumerable.Range(0, Programs).Select(i => clients[i % clients.Length].DuplicateAsync(context.Handle, "program")));
        for (var round = 0; round < Rounds; round++)
        {
            var ioas = await context.AllocateIoasAsync();
            var hwpt = await context.AllocateHwptAsync(device.Id, ioas);
            var destroyed = await Task.WhenAll(files.Select(async file => (await file.IoctlAsync(IommuCommand.Destroy, new IommuDestroy { Id = hwpt.Value })).Errno));
            Assert.Equal(1, destroyed.Count(errno => errno == Errno.None));
            Assert.Equal(Programs - 1, destroyed.Count(errno => errno == Errno.ENOENT));
            var late = await files[round % Programs].IoctlAsync(
                IommuCommand.HwptSetDirtyTracking, new IommuHwptSetDirtyTracking { HwptId = hwpt.Value });
            Assert.Equal(Errno.ENOENT, late.Errno);
            await context.DestroyAsync(ioas);
        }

        await Task.WhenAll(files.Select(file => file.DisposeAsync().AsTask()));
    }
}
