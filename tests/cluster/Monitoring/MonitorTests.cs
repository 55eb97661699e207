using System.Reflection;
using IommuFd.Client;
using IommuFd.GrainInterfaces;
using IommuFd.Grains.Monitoring;
using IommuFd.Uapi;
using Orleans.Runtime.Placement;

namespace IommuFd.ClusterTests.Monitoring;

/// <summary>What is seen of a cluster from above is what its silos have done.</summary>
public sealed class MonitorTests(MonitorFixture fixture) : IClassFixture<MonitorFixture>
{
    private const int Contexts = 24;

    private static readonly ObjectId Missing = new(1_000_000);

    private IMonitorGrain Monitor => fixture.Cluster.GrainFactory.GetGrain<IMonitorGrain>(0);

    [Fact]
    public async Task The_figures_of_all_silos_are_what_was_done_and_stay_so_when_one_leaves()
    {
        var before = await Monitor.OverviewAsync(new OverviewRequest(0));
        var client = new IommufdClient(fixture.Cluster.GrainFactory);
        var contexts = new List<IommuContext>();
        for (var i = 0; i < Contexts; i++)
        {
            var context = await OpenOnAsync(client, i, $"figures {i}");
            contexts.Add(context);
            await context.AllocateIoasAsync();
            await context.AllocateIoasAsync();
            Assert.Equal(Errno.ENOENT, (await context.IoctlAsync(IommuCommand.Destroy, new IommuDestroy { Id = Missing.Value })).Errno);
        }

        var after = await Monitor.OverviewAsync(new OverviewRequest(0));
        Assert.Equal(fixture.Cluster.Silos.Count, after.Silos.Count(silo => silo is { Answered: true, Status: "Active" }));
        Assert.Equal(Contexts, Sum(after, silo => silo.Contexts) - Sum(before, silo => silo.Contexts));
        Assert.Equal(2 * Contexts, Count(after, IommuCommand.IoasAlloc, Errno.None) - Count(before, IommuCommand.IoasAlloc, Errno.None));
        Assert.Equal(Contexts, Count(after, IommuCommand.Destroy, Errno.ENOENT) - Count(before, IommuCommand.Destroy, Errno.ENOENT));
        Assert.Equal(2 * Contexts, Objects(after) - Objects(before));

        // A second that is over has them all, once.
        await Eventually.TrueAsync(
            async () => (await Monitor.OverviewAsync(new OverviewRequest(0))).Silos.Sum(silo => silo.Activity.Sum(sample => sample.Ioctls)) >= 3 * Contexts, "the seconds of the ioctls are over");

        var leaving = fixture.Cluster.SecondarySilos[^1];
        var address = leaving.SiloAddress.ToString();
        await fixture.Cluster.StopSiloAsync(leaving);
        await Eventually.TrueAsync(
            async () => (await Monitor.OverviewAsync(new OverviewRequest(0))).Silos.SingleOrDefault(silo => silo.Address == address) is null or { Answered: false, Status: not "Active" },
            "the silo that left is shown as such");
        var left = await Monitor.OverviewAsync(new OverviewRequest(0));
        var gone = after.Silos.Single(silo => silo.Address == address);

        // It handed its contexts over; what it had counted went with it.
        Assert.Equal(Sum(after, silo => silo.Contexts), Sum(left, silo => silo.Contexts));
        Assert.Equal(Objects(after), Objects(left));
        Assert.Equal(Count(after, IommuCommand.IoasAlloc, Errno.None) - CountOf(gone, IommuCommand.IoasAlloc, Errno.None), Count(left, IommuCommand.IoasAlloc, Errno.None));
        var page = await Monitor.ListContextsAsync(new ContextQuery("figures", ContextOrder.Silo, false, 0, 200));
        Assert.Equal(contexts.Count, page.Total);
        Assert.DoesNotContain(page.Contexts, context => context.Silo == address);
        await fixture.Cluster.StartAdditionalSiloAsync();
        foreach (var context in contexts)
        {
            await context.CloseAsync();
        }

        Assert.Equal(0, (await Monitor.ListContextsAsync(new ContextQuery("figures", ContextOrder.Silo, false, 0, 1))).Total);
    }

    [Fact]
    public async Task Contexts_are_searched_sorted_and_paged_over_all_silos()
    {
        var client = new IommufdClient(fixture.Cluster.GrainFactory);
        var contexts = new List<IommuContext>();
        for (var i = 0; i < Contexts; i++)
        {
            contexts.Add(await OpenOnAsync(client, i, $"Paged {i:00}"));
        }

        var seen = new List<ContextSummary>();
        for (var offset = 0; offset < Contexts + 10; offset += 10)
        {
            var page = await Monitor.ListContextsAsync(new ContextQuery("pAGED", ContextOrder.Opener, true, offset, 10));
            Assert.Equal(Contexts, page.Total);
            Assert.Empty(page.SilentSilos);
            seen.AddRange(page.Contexts);
        }

        Assert.Equal(Enumerable.Range(0, Contexts).Reverse().Select(i => $"Paged {i:00}"), seen.Select(context => context.Opener));
        Assert.Equal(fixture.Cluster.Silos.Select(silo => silo.SiloAddress.ToString()).Order(), seen.Select(context => context.Silo).Distinct().Order());

        var tag = contexts[3].Handle.Key.Tag;
        var found = Assert.Single((await Monitor.ListContextsAsync(new ContextQuery($"{tag}", ContextOrder.Opened, false, 0, 10))).Contexts);
        Assert.Equal((tag, "Paged 03", ContextMode.Volatile), (found.Tag, found.Opener, found.Mode));
        Assert.InRange(found.Lease!.Value, TimeSpan.Zero, TimeSpan.FromSeconds(60));
        Assert.InRange(found.Opened, DateTime.UtcNow - TimeSpan.FromMinutes(10), DateTime.UtcNow + TimeSpan.FromMinutes(1));
        foreach (var context in contexts)
        {
            await context.CloseAsync();
        }
    }

    [Fact]
    public async Task Every_silo_finds_a_context_by_its_tag_while_it_is_open()
    {
        await using var context = await new IommufdClient(fixture.Cluster.GrainFactory).OpenAsync("tagged");
        var tag = context.Handle.Key.Tag;
        foreach (var silo in fixture.Cluster.Silos)
        {
            var finder = MonitorFixture.Service<IContextFinder>(silo);
            Assert.Equal(context.Handle.Key, (await finder.FindAsync(tag, CancellationToken.None))!.Key);
            Assert.Null(await finder.FindAsync(new ContextTag(tag.Value ^ 1), CancellationToken.None));
        }

        await context.CloseAsync();
        Assert.Null(await MonitorFixture.Service<IContextFinder>(fixture.Cluster.Silos[0]).FindAsync(tag, CancellationToken.None));
    }

    [Fact]
    public void No_grain_answers_with_a_handle()
    {
        Assembly[] contracts = [typeof(IContextGrain).Assembly, typeof(ISiloMonitor).Assembly];
        var grains = contracts.SelectMany(assembly => assembly.GetTypes()).Where(type => type.IsInterface && typeof(IAddressable).IsAssignableFrom(type));
        var methods = grains.SelectMany(grain => grain.GetMethods()).ToList();
        Assert.Empty(methods.Where(method => Mentions(method.ReturnType, typeof(ContextHandle), [])).Select(method => $"{method.DeclaringType!.Name}.{method.Name}"));
        Assert.Contains(methods, method => method.GetParameters().Any(parameter => Mentions(parameter.ParameterType, typeof(ContextHandle), [])));
    }

    // On one silo after the other, wherever Orleans would have it.
    private async Task<IommuContext> OpenOnAsync(IommufdClient client, int number, string name)
    {
        RequestContext.Set(IPlacementDirector.PlacementHintKey, fixture.Cluster.Silos[number % fixture.Cluster.Silos.Count].SiloAddress);
        try
        {
            return await client.OpenAsync(name);
        }
        finally
        {
            RequestContext.Clear();
        }
    }

    private static bool Mentions(Type type, Type wanted, HashSet<Type> seen)
        => type == wanted
            || (type.HasElementType && Mentions(type.GetElementType()!, wanted, seen))
            || type.GetGenericArguments().Any(argument => Mentions(argument, wanted, seen))
            || (type.Namespace?.StartsWith("IommuFd", StringComparison.Ordinal) == true && seen.Add(type)
                && type.GetProperties(BindingFlags.Instance | BindingFlags.Public).Any(property => Mentions(property.PropertyType, wanted, seen)));

    private static long Sum(ClusterOverview overview, Func<SiloOverview, long> figure) => overview.Silos.Sum(figure);

    private static long Objects(ClusterOverview overview) => Sum(overview, silo => silo.Objects.Sum(count => count.Count));

    private static long Count(ClusterOverview overview, IommuCommand command, Errno errno) => Sum(overview, silo => CountOf(silo, command, errno));

    private static long CountOf(SiloOverview silo, IommuCommand command, Errno errno)
        => silo.Ioctls.Where(count => count.Command == (uint)command && count.Errno == errno).Sum(count => count.Count);
}
