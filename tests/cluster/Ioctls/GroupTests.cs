using System.Globalization;
using IommuFd.Client;
using IommuFd.GrainInterfaces;
using IommuFd.Grains.Configuration;
using IommuFd.Silo;
using IommuFd.Silo.Journals;
using IommuFd.Uapi;
using Microsoft.Extensions.DependencyInjection;
using Xunit.Abstractions;

namespace IommuFd.ClusterTests.Ioctls;

/// <summary>Ioctls that go together are answered what they are answered one by one.</summary>
public sealed class GroupTests(ITestOutputHelper output) : IDisposable
{
    private const ulong Page = 4096;
    private const int Steps = 3_000;

    private readonly string _folder = Directory.CreateTempSubdirectory("iommufd-groups").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Theory]
    [InlineData(ContextMode.Volatile, true, 1024)]
    [InlineData(ContextMode.Volatile, true, 0)]
    [InlineData(ContextMode.Volatile, false, 0)]
    [InlineData(ContextMode.Durable, true, 1024)]
    public async Task Random_ioctls_are_answered_together_what_they_are_answered_one_by_one(ContextMode mode, bool near, int kept)
    {
        var seed = Seed.Of(output);
        var random = new Random(seed);
        using var host = await SiloHost.StartInProcessAsync(
            contexts: new ContextOptions { CallsNearObjects = near, MaxKeptAreas = kept },
            journal: new JournalSettings { Store = JournalStoreKind.Sqlite, Path = Path.Combine(_folder, "journal.db"), Synchronous = JournalSynchronous.Normal });
        var client = new IommufdClient(host.Services.GetRequiredService<IGrainFactory>());
        await using (var together = await client.OpenAsync("together", mode))
        await using (var alone = await client.OpenAsync("alone", mode))
        {
            for (var step = 0; step < Steps;)
            {
                IoctlRequest[] requests = [.. Enumerable.Range(0, random.Next(1, 100)).Select(_ => Next(random))];

                // The calls of one thread reach the service in order.
                var running = Array.ConvertAll(requests, request => together.SendAsync(request, CancellationToken.None).AsTask());
                foreach (var (request, answer) in requests.Zip(running))
                {
                    var expected = Describe(await alone.SendAsync(request, CancellationToken.None));
                    Assert.True(expected == Describe(await answer), $"{Seed.Variable}={seed}, step {step}, {request.Command:X} {Convert.ToHexString(request.Argument)}: {expected} alone, {Describe(await answer)} together");
                    step++;
                }
            }

            Assert.Equal(await StateAsync(alone), await StateAsync(together));
        }

        await host.StopAsync();
    }

    private static IoctlRequest Next(Random random)
    {
        var ioas = (uint)random.Next(0, 6);
        return random.Next(10) switch
        {
            0 => IommuContext.Request(IommuCommand.IoasAlloc, default(IommuIoasAlloc)),
            1 => IommuContext.Request(IommuCommand.Destroy, new IommuDestroy { Id = ioas }),
            2 or 3 or 4 => Map(ioas, (ulong)random.Next(16) * Page),
            5 or 6 => IommuContext.Request(IommuCommand.IoasUnmap, new IommuIoasUnmap { IoasId = ioas, Iova = (ulong)random.Next(16) * Page, Length = (ulong)random.Next(1, 4) * Page }),
            7 => IommuContext.Request(IommuCommand.IoasCopy, new IommuIoasCopy { Flags = 7, SrcIoasId = ioas, DstIoasId = (uint)random.Next(0, 6), Length = Page, SrcIova = (ulong)random.Next(16) * Page, DstIova = (ulong)random.Next(16) * Page }),
            8 => IommuContext.Request(IommuCommand.Option, new IommuOption { OptionId = (uint)IommuOptionId.HugePages, Op = (ushort)random.Next(2), ObjectId = ioas, Val64 = (ulong)random.Next(2) }),
            _ => new IoctlRequest { Command = (uint)random.Next(0x3B70, 0x3BFF), Argument = new byte[random.Next(0, 40)], WritableBytes = 40 },
        };
    }

    private static IoctlRequest Map(uint ioas, ulong iova)
        => IommuContext.Request(
            IommuCommand.IoasMap, new IommuIoasMap { Flags = 7, IoasId = ioas, UserVa = 0x7000_0000_0000, Length = Page, Iova = iova },
            [new UserBuffer { Address = 0x7000_0000_0000, Length = Page, ReadableBytes = Page, WritableBytes = Page }]);

    private static string Describe(IoctlReply reply)
        => string.Create(CultureInfo.InvariantCulture, $"{reply.Errno} {reply.ReturnValue} {Convert.ToHexString(reply.Argument ?? [])} {reply.Diagnostic}");

    private static async Task<string> StateAsync(IommuContext context)
        => string.Join("; ", (await context.InspectAsync()).Objects.Select(item => $"{item.Object} {item.Users} {item.Summary} {item.State}"));
}
