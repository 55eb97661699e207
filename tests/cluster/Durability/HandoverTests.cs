using IommuFd.Client;
using IommuFd.GrainInterfaces;
using IommuFd.Uapi;

namespace IommuFd.ClusterTests.Durability;

/// <summary>A silo that stops in order hands its volatile contexts over: their users see a pause, and nothing else.</summary>
public sealed class HandoverTests(ClusterFixture fixture) : IClassFixture<ClusterFixture>
{
    private const int Contexts = 30;

    [Fact]
    public async Task Contexts_of_a_silo_that_stops_go_on_elsewhere_with_all_that_they_had()
    {
        var client = new IommufdClient(fixture.Cluster.GrainFactory);
        var contexts = new List<BusyContext>();
        for (var i = 0; i < Contexts; i++)
        {
            contexts.Add(await BusyContext.OpenAsync(client, i));
        }

        var silos = new Dictionary<ContextHandle, string>();
        foreach (var context in contexts)
        {
            silos[context.Handle] = (await context.InspectAsync()).Silo;
        }

        var leaving = fixture.Cluster.SecondarySilos[^1];
        var name = leaving.SiloAddress.ToString();
        var moving = contexts.Where(context => silos[context.Handle].Contains(leaving.SiloAddress.Endpoint.Port.ToString(System.Globalization.CultureInfo.InvariantCulture), StringComparison.Ordinal)).ToList();
        Assert.True(moving.Count > 0, $"no context is on {name}: {string.Join(", ", silos.Values.Distinct())}");
        var before = await Task.WhenAll(contexts.Select(context => context.InspectAsync()));

        await fixture.Cluster.StopSiloAsync(leaving);

        for (var i = 0; i < contexts.Count; i++)
        {
            var after = await contexts[i].InspectAsync();
            Assert.Equal(before[i].Objects.Select(item => (item.Object, item.Users)), after.Objects.Select(item => (item.Object, item.Users)));
            Assert.NotEqual(silos[contexts[i].Handle], moving.Contains(contexts[i]) ? after.Silo : "");
            await contexts[i].CheckAsync();
        }
    }

    /// <summary>A context with mappings, a device that is attached, and a driver that holds an object.</summary>
    private sealed class BusyContext
    {
        private static readonly IovaRange Range = new(0x200_0000, 0x200_0FFF);

        private readonly IommuContext _context;
        private readonly ObjectId _ioas;
        private readonly IommuHold _hold;

        private BusyContext(IommuContext context, ObjectId ioas, IommuHold hold) => (_context, _ioas, _hold) = (context, ioas, hold);

        public ContextHandle Handle => _context.Handle;

        public static async Task<BusyContext> OpenAsync(IommufdClient client, int number)
        {
            var context = await client.OpenAsync($"busy {number}", ContextMode.Volatile);
            var ioas = await context.AllocateIoasAsync();
            await context.MapAsync(ioas, DmaMemory.Allocate(4096), new Iova(Range.Start));
            var driver = await client.GetDriverAsync(context.Handle, "vfio-pci");
            var device = await driver.BindDeviceAsync(new DeviceDescription { Name = $"0000:01:00.{number % 8}" });
            await device.AttachAsync(ioas);
            return new BusyContext(context, ioas, await driver.HoldAsync(ioas, "ring"));
        }

        public Task<ContextInspection> InspectAsync() => _context.InspectAsync();

        public async Task CheckAsync()
        {
            var busy = await Assert.ThrowsAsync<IommufdException>(() => _context.DestroyAsync(_ioas).AsTask());
            Assert.Equal(Errno.EBUSY, busy.Errno);
            var taken = await Assert.ThrowsAsync<IommufdException>(() => _context.MapAsync(_ioas, DmaMemory.Allocate(4096), new Iova(Range.Start)).AsTask());
            Assert.Equal(Errno.EEXIST, taken.Errno);
            Assert.Equal(4096UL, await _context.UnmapAsync(_ioas, Range));
            await _hold.DisposeAsync();
        }
    }
}
