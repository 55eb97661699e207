using System.Reflection;
using IommuFd.Client;
using IommuFd.ClusterTests.Durability;
using IommuFd.ClusterTests.Ioctls;
using IommuFd.ClusterTests.Monitoring;
using IommuFd.GrainInterfaces;
using IommuFd.Grains.Calls;
using IommuFd.Grains.Monitoring;
using IommuFd.Grains.Objects.Ioas;
using IommuFd.Grains.Proofs;
using IommuFd.Uapi;
using Orleans.Runtime.Services;
using Orleans.Services;
using Orleans.TestingHost;

namespace IommuFd.ClusterTests.Security;

/// <summary>What an Orleans client without a handle tries on the contexts of others, with the contracts of silos in its hands.</summary>
public sealed class ClientAttackTests(MonitorFixture fixture) : IClassFixture<MonitorFixture>
{
    private IGrainFactory Attacker => fixture.Cluster.GrainFactory;

    private SiloProof?[] MadeUpProofs =>
    [
        null,
        new SiloProof(fixture.Cluster.Silos[0].SiloAddress, Guid.NewGuid()),
        new SiloProof(fixture.Cluster.Silos[1].SiloAddress, default),
        new SiloProof(SiloAddress.New(System.Net.IPAddress.Loopback, 1, 1), Guid.NewGuid()),
        new SiloProof(null!, default),
    ];

    [Fact]
    public async Task No_key_that_Orleans_lists_opens_a_context()
    {
        await using var context = await new IommufdClient(Attacker).OpenAsync("listed");
        await context.AllocateActivatedIoasAsync();
        var management = Attacker.GetGrain<IManagementGrain>(0);
        var keys = (await management.GetDetailedGrainStatistics()).Select(grain => grain.GrainId.Key.ToString()!).ToList();
        Assert.Contains($"{context.Handle.Key}", keys);
        Assert.Contains(keys, key => key.StartsWith($"{context.Handle.Key}/", StringComparison.Ordinal));
        Assert.DoesNotContain(keys, key => key.Contains($"{context.Handle}", StringComparison.OrdinalIgnoreCase));
        foreach (var key in keys.Select(key => key.Split('/')[0]))
        {
            if (ContextHandle.TryParse(key, out var handle))
            {
                var refused = await Assert.ThrowsAsync<IommufdException>(() => new IommufdClient(Attacker).DuplicateAsync(handle));
                Assert.Equal(Errno.EBADF, refused.Errno);
            }
        }
    }

    [Fact]
    public async Task A_call_of_a_silos_contract_without_a_silos_proof_is_EBADF_and_does_nothing()
    {
        await using var context = await new IommufdClient(Attacker).OpenAsync("controlled");
        var ioas = await context.AllocateIoasAsync();
        var control = Attacker.GetGrain<IContextControl>(context.Handle.Key.Value);
        foreach (var proof in MadeUpProofs)
        {
            Assert.Equal(Errno.EBADF, (await control.OperateAsync(proof!, new ReleaseContextRequest("root"))).Errno);
            Assert.Equal(Errno.EBADF, (await control.InspectAsync(proof!, new InspectRequest(default, 1, WithState: false), CancellationToken.None)).Errno);
            Assert.Equal(Errno.EBADF, (await control.InspectGraphAsync(proof!, new GraphRequest(ioas, GraphDirection.Both, 1))).Errno);
            Assert.Equal(Errno.EBADF, (await control.ExplainBusyAsync(proof!, ioas)).Errno);
            Assert.Equal(Errno.EBADF, (await control.TailAsync(proof!, new TailRequest(0, 0, 1))).Errno);
            Assert.Null(await control.InspectObjectAsync(proof!, ioas, default));
            await control.SweepAsync(proof!);
            await control.HandOverAsync(proof!, fixture.Cluster.Silos[2].SiloAddress);
        }

        Assert.Equal(1, (await context.InspectAsync()).ObjectCount);
    }

    [Fact]
    public async Task A_silo_reports_nothing_to_a_call_without_a_silos_proof()
    {
        await using var context = await new IommufdClient(Attacker).OpenAsync("reported");
        foreach (var silo in fixture.Cluster.Silos)
        {
            var monitor = Service<ISiloMonitor, SiloMonitors>(silo);
            var proofs = Service<ISiloProofs, SiloProofPeers>(silo);
            foreach (var proof in MadeUpProofs)
            {
                Assert.Null(await monitor.FindAsync(proof!, context.Handle.Key.Tag));
                Assert.Equal(0, (await monitor.ListContextsAsync(proof!, new ContextQuery("", ContextOrder.Opened, false, 0, 10))).Total);
                Assert.Empty((await monitor.OverviewAsync(proof!, new OverviewRequest(0))).Ioctls);
                Assert.False(await proofs.IsGenuineAsync(proof!));
            }
        }
    }

    [Fact]
    public async Task A_made_up_life_takes_no_object_from_its_context()
    {
        await using var context = await new IommufdClient(Attacker).OpenAsync("volatile");
        await AttackObjectAsync(Attacker, context);

        var path = Directory.CreateTempSubdirectory("iommufd-attack").FullName;
        await using (var silo = await JournalSilo.StartAsync(Path.Combine(path, "journal.db")))
        {
            await using var durable = await new IommufdClient(silo.Grains).OpenAsync("durable", ContextMode.Durable);
            await AttackObjectAsync(silo.Grains, durable);
        }

        Directory.Delete(path, recursive: true);
    }

    [Fact]
    public async Task Calls_of_made_up_objects_leave_no_activation()
    {
        var before = await CountAsync();
        await Parallel.ForAsync(0, 7000, new ParallelOptions { MaxDegreeOfParallelism = 64 }, async (number, _) =>
        {
            var ioas = Attacker.GetGrain<IIoasGrain>($"{Guid.NewGuid():N}/{number}");
            Assert.Equal(Errno.EIO, (await ioas.HugePagesAsync(new ObjectStamp(long.MaxValue, 1, MayBuild: true), IommuOptionOp.Set, 0)).Errno);
        });

        await Eventually.TrueAsync(async () => await CountAsync() <= before, "no activation of a made-up object is left");

        async Task<int> CountAsync()
            => (await Attacker.GetGrain<IManagementGrain>(0).GetSimpleGrainStatistics()).Where(grain => grain.GrainType.Contains(nameof(IoasGrain), StringComparison.Ordinal)).Sum(grain => grain.ActivationCount);
    }

    private async Task AttackObjectAsync(IGrainFactory grains, IommuContext context)
    {
        var ioas = await context.AllocateActivatedIoasAsync();
        var grain = grains.GetGrain<IIoasGrain>($"{context.Handle.Key}/{ioas}");
        foreach (var proof in MadeUpProofs)
        {
            var stamp = new ObjectStamp(long.MaxValue, long.MaxValue, MayBuild: true, Proof: proof);
            Assert.Equal(Errno.EIO, (await grain.HugePagesAsync(stamp, IommuOptionOp.Set, 1)).Errno);
            Assert.Equal(Errno.EIO, (await grain.HoldAsync(stamp, default)).Errno);
            Assert.Null(await grain.UsersAsync(stamp, default));
            Assert.Null(await grain.SnapshotAsync(stamp));
            await grain.DestroyAsync(stamp, default, DestroyMode.Release);
        }

        Assert.False(await context.GetHugePagesAsync(ioas), $"IOAS {ioas} still has what was set");
    }

    // A client can name a silo's grain services: their ids follow from the class and the silo's address. Here the silo's own client of the service tells it.
    private TService Service<TService, TClient>(SiloHandle silo)
        where TService : IGrainService
        where TClient : GrainServiceClient<TService>
    {
        var find = typeof(GrainServiceClient<TService>).GetMethod("GetGrainService", BindingFlags.Instance | BindingFlags.NonPublic, [typeof(SiloAddress)])!;
        var service = (IAddressable)find.Invoke(MonitorFixture.Service<TClient>(silo), [silo.SiloAddress])!;
        return Attacker.GetGrain<TService>(service.GetGrainId());
    }
}
