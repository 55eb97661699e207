using IommuFd.Client;
using IommuFd.ClusterTests.Durability;
using IommuFd.GrainInterfaces;
using IommuFd.Uapi;

namespace IommuFd.ClusterTests.Ioctls;

/// <summary>A context's key, which logs and Orleans show, does not open it: the handle that comes with each call does.</summary>
public sealed class WrongHandleTests(ClusterFixture fixture) : IClassFixture<ClusterFixture>
{
    [Fact]
    public async Task With_another_handle_every_call_is_answered_as_if_the_context_were_not_open()
    {
        var client = new IommufdClient(fixture.Cluster.GrainFactory);
        await using var context = await client.OpenAsync("owner");
        var ioas = await context.AllocateIoasAsync();
        var grain = fixture.Cluster.GrainFactory.GetGrain<IContextGrain>(context.Handle.Key.Value);
        foreach (var handle in (ContextHandle[])[ContextHandle.NewRandom(), new ContextHandle(context.Handle.Key.Value), default])
        {
            var calls = new GrainCalls(grain, handle);
            var first = new ReferenceId(1);
            var target = new FileTarget(context.Handle.Key, first, ObjectType.FaultQueue, ioas);
            Assert.Equal(
                Enumerable.Repeat(Errno.EBADF, 12),
                [
                    (await calls.OpenAsync(new OpenRequest(ContextMode.Volatile, "thief", 1))).Errno,
                    (await calls.GetAsync(new GetRequest(ReferenceKind.File, "thief", 2))).Errno,
                    (await calls.IoctlAsync(Requests.Alloc(), default)).Errno,
                    (await calls.IoctlBatchAsync(new IoctlBatchRequest { Requests = [Requests.Alloc()] }, default)).Errno,
                    (await calls.DriverAsync(first, new DropHoldRequest(new HoldId(1)), default)).Errno,
                    (await calls.FileAsync(target, new ReadFileRequest(1, 1), default)).Errno,
                    (await calls.PollFileAsync(target, TimeSpan.Zero)).Errno,
                    (await calls.RenewAsync([first])).Errno,
                    (await calls.InspectAsync(new InspectRequest(default, 1, WithState: false), CancellationToken.None)).Errno,
                    (await calls.InspectGraphAsync(new GraphRequest(ioas, GraphDirection.Both, 1))).Errno,
                    (await calls.TailAsync(new TailRequest(0, 0, 1))).Errno,
                    (await calls.ExplainBusyAsync(ioas)).Errno,
                ]);
            Assert.Null(await calls.InspectObjectAsync(ioas, default));
            Assert.Equal(Errno.EBADF, (await calls.PutAsync(first)).Errno);
        }

        var inspection = await context.InspectAsync();
        Assert.Equal((1, "owner"), (inspection.ObjectCount, Assert.Single(inspection.References).Name));
    }
}
