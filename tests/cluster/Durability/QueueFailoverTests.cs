using IommuFd.Client;
using IommuFd.ClusterTests.Ioctls;
using IommuFd.GrainInterfaces;
using IommuFd.Uapi;

namespace IommuFd.ClusterTests.Durability;

/// <summary>What is in a queue, and what was read from it and not answered, lasts when the context's silo is killed.</summary>
[Collection(PostgresCollection.Name)]
public sealed class QueueFailoverTests(PostgresServer postgres) : IAsyncLifetime
{
    private SiloCluster _cluster = null!;

    public async Task InitializeAsync() => _cluster = await SiloCluster.StartAsync(await postgres.CreateDatabaseAsync(), silos: 3);

    public async Task DisposeAsync() => await _cluster.DisposeAsync();

    [Fact]
    public async Task A_silo_that_is_killed_between_a_faults_delivery_and_its_response_loses_neither_the_fault_nor_those_behind_it()
    {
        var grains = await _cluster.ConnectAsync();
        var context = await new IommufdClient(grains).OpenAsync("vmm", ContextMode.Durable);
        var ioas = await context.AllocateIoasAsync();
        var raw = new RawProgram(context);
        var owner = await raw.MockDomainAsync(ioas);
        var queue = await context.AllocateFaultQueueAsync();
        var hwpt = await context.AllocateHwptAsync(new ObjectId(owner.OutIdevId), ioas, IommuHwptAllocFlags.FaultIdValid, queue.Id);
        await raw.ExpectAsync("to the queue", Errno.None, IommuTestOp.MockDomainReplace, owner.OutStdevId, new IommuTestMockDomainReplace { PtId = hwpt.Value });
        await FaultAsync(0x1000);
        await using var groups = queue.ReadAllAsync().GetAsyncEnumerator();
        var delivered = await NextAsync();
        await FaultAsync(0x2000);

        var silo = await grains.GetGrain<IManagementGrain>(0).GetActivationAddress(grains.GetGrain<IContextGrain>(context.Handle.Key.Value));
        await _cluster.Silos.Single(process => process.SiloPort == silo!.Endpoint.Port).Process.SignalAsync("KILL");

        await queue.RespondAsync(delivered, IommuPageResponseCode.Success);
        var twice = await Record.ExceptionAsync(() => queue.RespondAsync(delivered, IommuPageResponseCode.Success).AsTask());
        Assert.True((twice as IommufdException)?.Errno == Errno.EINVAL, $"a second response to the group: expected EINVAL, was {twice?.Message ?? "success"}");
        var next = await NextAsync();
        Assert.Equal((0x2000UL, PollEvents.Out), (next.Faults[0].Addr, await queue.File.PollAsync()));
        await queue.RespondAsync(next, IommuPageResponseCode.Success);

        await context.DestroyAsync(new ObjectId(owner.OutStdevId));
        await context.DestroyAsync(hwpt);
        await queue.DisposeAsync();
        await context.DestroyAsync(queue.Id);

        Task FaultAsync(ulong address) => raw.ExpectAsync(
            "a fault", Errno.None, IommuTestOp.TriggerIopf, 0, new IommuTestTriggerIopf { DevId = owner.OutIdevId, Grpid = 1, Perm = (uint)IommuPgfaultPerm.Write, Addr = address });

        async Task<PageFaultGroup> NextAsync()
        {
            Assert.True(await groups.MoveNextAsync().AsTask().WaitAsync(Eventually.Limit), "A stream without an end has ended.");
            return groups.Current;
        }
    }
}
