using IommuFd.Client;
using IommuFd.ClusterTests.Durability;
using IommuFd.GrainInterfaces;
using IommuFd.Grains.Monitoring;
using IommuFd.Uapi;

namespace IommuFd.ClusterTests.Monitoring;

/// <summary>What operators do in the place of a context's owners; on a durable context it lasts.</summary>
public sealed class OperatorTests : IDisposable
{
    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("iommufd-operator-");

    private string JournalPath => Path.Combine(_folder.FullName, "journal.db");

    public void Dispose() => _folder.Delete(recursive: true);

    [Theory]
    [InlineData(ContextMode.Volatile)]
    [InlineData(ContextMode.Durable)]
    public async Task A_context_is_released_with_all_references(ContextMode mode)
    {
        ContextHandle handle;
        await using (var silo = await JournalSilo.StartAsync(JournalPath))
        {
            var client = new IommufdClient(silo.Grains);
            var context = await client.OpenAsync("stuck", mode);
            handle = context.Handle;
            var ioas = await context.AllocateIoasAsync();
            var driver = await client.GetDriverAsync(handle, "vfio");
            await (await driver.BindDeviceAsync(new DeviceDescription { Name = "device" })).AttachAsync(ioas);

            var reply = await silo.Control(handle).OperateAsync(new ReleaseContextRequest("operator"));
            Assert.Equal((Errno.None, 3, 0), (reply.Errno, reply.Release!.Destroyed, reply.Release.Stuck.Length));
            Assert.Equal(Errno.EBADF, (await silo.Control(handle).OperateAsync(new ReleaseContextRequest("operator"))).Errno);
            Assert.Equal(Errno.EBADF, (await context.IoctlAsync(IommuCommand.IoasAlloc, default(IommuIoasAlloc))).Errno);
            client.Stop();
        }

        await using var again = await JournalSilo.StartAsync(JournalPath);
        Assert.Equal(Errno.EBADF, (await again.Context(handle).InspectAsync(new InspectRequest(default, 10, false), CancellationToken.None)).Errno);
    }

    [Theory]
    [InlineData(ContextMode.Volatile)]
    [InlineData(ContextMode.Durable)]
    public async Task A_hold_and_then_its_driver_are_dropped(ContextMode mode)
    {
        ContextHandle handle;
        await using (var silo = await JournalSilo.StartAsync(JournalPath))
        {
            var client = new IommufdClient(silo.Grains);
            var context = await client.OpenAsync("vmm", mode);
            handle = context.Handle;
            var (held, attached) = (await context.AllocateIoasAsync(), await context.AllocateIoasAsync());
            var driver = await client.GetDriverAsync(handle, "vfio");
            await (await driver.BindDeviceAsync(new DeviceDescription { Name = "device" })).AttachAsync(attached);
            await driver.HoldAsync(held, "stuck");
            var step = Assert.Single((await context.ExplainBusyAsync(held)).Steps);

            var grain = silo.Control(handle);
            Assert.Equal(Errno.EINVAL, (await grain.OperateAsync(new DropStuckHoldRequest("", step.Reference, step.Hold))).Errno);
            Assert.Equal(Errno.ENOENT, (await grain.OperateAsync(new DropStuckHoldRequest("operator", step.Reference, new HoldId(step.Hold.Value + 100)))).Errno);
            Assert.Equal(Errno.EBADF, (await grain.OperateAsync(new DropDriverRequest("operator", new ReferenceId(1)))).Errno);
            Assert.Equal(Errno.None, (await grain.OperateAsync(new DropStuckHoldRequest("operator", step.Reference, step.Hold))).Errno);
            await context.DestroyAsync(held);
            Assert.Equal(Errno.None, (await grain.OperateAsync(new DropDriverRequest("operator", step.Reference))).Errno);
            Assert.Equal(1, (await context.InspectAsync()).ObjectCount);
            client.Stop();
        }

        if (mode == ContextMode.Durable)
        {
            await using var again = await JournalSilo.StartAsync(JournalPath);
            var inspection = await again.Context(handle).InspectAsync(new InspectRequest(default, 10, false), CancellationToken.None);
            Assert.Equal((Errno.None, 1, 1), (inspection.Errno, inspection.ObjectCount, inspection.References.Length));
            Assert.Equal(1, Assert.Single(inspection.Objects).Users);
        }
    }

    [Fact]
    public async Task A_context_that_is_made_again_keeps_the_time_it_was_opened_and_begins_a_new_tail()
    {
        ContextHandle handle;
        ContextSummary before;
        TailReply tail;
        await using (var silo = await JournalSilo.StartAsync(JournalPath))
        {
            var client = new IommufdClient(silo.Grains);
            var context = await client.OpenAsync("durable");
            handle = context.Handle;
            await context.AllocateIoasAsync();
            await context.AllocateIoasAsync();
            before = Assert.Single((await silo.Grains.GetGrain<IMonitorGrain>(0).ListContextsAsync(Query)).Contexts);
            tail = await client.TailAsync(handle, new TailRequest(0, 0, 1));
            Assert.Equal((2L, 1L), (tail.Last, tail.Missed));
            client.Stop();
        }

        await using var again = await JournalSilo.StartAsync(JournalPath);
        var later = new IommufdClient(again.Grains);
        var reply = await later.TailAsync(handle, new TailRequest(tail.Last, tail.Activation, 10));
        Assert.NotEqual(tail.Activation, reply.Activation);
        Assert.Equal((0L, 0L), (reply.Last, reply.Missed));
        var after = Assert.Single((await again.Grains.GetGrain<IMonitorGrain>(0).ListContextsAsync(Query)).Contexts);
        Assert.Equal((before.Opened, before.Tag, "durable"), (after.Opened, after.Tag, after.Opener));
        Assert.NotEqual(default, after.Opened);
        later.Stop();
    }

    private static ContextQuery Query => new("", ContextOrder.Opened, false, 0, 10);
}
