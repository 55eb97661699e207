using System.Collections.Concurrent;
using IommuFd.Client;
using IommuFd.GrainInterfaces;
using IommuFd.Grains.Configuration;
using IommuFd.Grains.Objects.Ioas;
using IommuFd.Silo;
using IommuFd.Uapi;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;

namespace IommuFd.ClusterTests.Ioctls;

/// <summary>Which calls of objects are messages, where the objects are on the silo of their context.</summary>
public sealed class NearCallTests
{
    private const ulong Page = 4096;

    [Theory]
    [InlineData(false, 0, new[] { "HugePagesAsync", "HugePagesAsync", "MapAsync", "MapAsync", "HugePagesAsync", "UnmapAsync", "DestroyAsync" })]
    [InlineData(true, 2, new string[0])]
    [InlineData(true, 1, new[] { "HugePagesAsync" })]
    [InlineData(true, 0, new[] { "MapAsync" })]
    public async Task An_object_on_the_contexts_silo_gets_no_message_or_one_or_all(bool isNear, int kept, string[] expected)
    {
        var messages = new CountedMessages();
        using var host = await SiloHost.StartInProcessAsync(
            silo => silo.AddIncomingGrainCallFilter(messages), new ContextOptions { CallsNearObjects = isNear, MaxKeptAreas = kept });
        await using (var context = await ClientOf(host).OpenAsync())
        {
            var ioas = await context.AllocateIoasAsync();
            await context.SetHugePagesAsync(ioas, enable: false);
            Assert.False(await context.GetHugePagesAsync(ioas), $"HUGE_PAGES of IOAS {ioas}, which was set to 0");
            await MapAsync(context, ioas, 0x10000);
            await MapAsync(context, ioas, 0x20000);
            Assert.False(await context.GetHugePagesAsync(ioas), $"HUGE_PAGES of IOAS {ioas}, which may have an activation of its own now");
            Assert.Equal(2 * Page, await context.UnmapAsync(ioas, IovaRange.All));
            await context.DestroyAsync(ioas);
        }

        Assert.Equal(expected, messages.Methods);
        await host.StopAsync();
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1024)]
    public async Task An_id_that_is_used_again_leads_to_the_new_object(int kept)
    {
        using var host = await SiloHost.StartInProcessAsync(contexts: new ContextOptions { MaxKeptAreas = kept });
        await using (var context = await ClientOf(host).OpenAsync())
        {
            for (var life = 1; life <= 20; life++)
            {
                var ioas = await context.AllocateIoasAsync();
                Assert.Equal(new ObjectId(1), ioas);
                Assert.True(await context.GetHugePagesAsync(ioas), $"HUGE_PAGES of life {life} of IOAS {ioas}, which is new");
                await context.SetHugePagesAsync(ioas, enable: false);
                await MapAsync(context, ioas, Page);
                await context.UnmapAsync(ioas, IovaRange.All);
                await context.DestroyAsync(ioas);
            }
        }

        await host.StopAsync();
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1024)]
    public async Task Inspections_see_whole_turns_of_objects_that_are_called_without_messages(int kept)
    {
        const int Turns = 2_000;
        using var host = await SiloHost.StartInProcessAsync(contexts: new ContextOptions { MaxKeptAreas = kept });
        await using (var context = await ClientOf(host).OpenAsync())
        {
            var ioas = await context.AllocateIoasAsync();
            using var done = new CancellationTokenSource();
            var looking = Task.Run(async () =>
            {
                var looks = 0;
                for (; !done.IsCancellationRequested; looks++)
                {
                    var inspection = await context.InspectObjectAsync(ioas, new StatePage(0, 16));
                    var state = Assert.IsType<IoasState>(inspection?.State);
                    Assert.Equal((state.AreaCount, (ulong)state.AreaCount * Page), (state.Areas.Length, state.Areas.Aggregate(0UL, (sum, area) => sum + area.Range.LengthBytes)));
                }

                return looks;
            });
            for (var i = 0; i < Turns; i++)
            {
                await MapAsync(context, ioas, Page);
                await MapAsync(context, ioas, 4 * Page);
                await context.UnmapAsync(ioas, IovaRange.All);
            }

            await done.CancelAsync();
            Assert.True(await looking.WaitAsync(Eventually.Limit) > 0, "no inspection ran beside the turns");
        }

        await host.StopAsync();
    }

    private static IommufdClient ClientOf(IHost host) => new(host.Services.GetRequiredService<IGrainFactory>());

    private static async Task MapAsync(IommuContext context, ObjectId ioas, ulong iova)
    {
        var cmd = new IommuIoasMap { Flags = 7, IoasId = ioas.Value, UserVa = 0x7000_0000_0000, Length = Page, Iova = iova };
        var request = IommuContext.Request(IommuCommand.IoasMap, in cmd, [new UserBuffer { Address = cmd.UserVa, Length = Page, ReadableBytes = Page, WritableBytes = Page }]);
        Assert.Equal(Errno.None, (await context.SendAsync(request, CancellationToken.None)).Errno);
    }

    /// <summary>Notes the messages that the grains of IOASes get.</summary>
    private sealed class CountedMessages : IIncomingGrainCallFilter
    {
        private readonly ConcurrentQueue<string> _methods = [];

        public IEnumerable<string> Methods => _methods;

        public Task Invoke(IIncomingGrainCallContext context)
        {
            if (context.Grain is IIoasGrain)
            {
                _methods.Enqueue(context.InterfaceMethod.Name);
            }

            return context.Invoke();
        }
    }
}
