using IommuFd.Client;
using IommuFd.GrainInterfaces;
using IommuFd.Silo;
using IommuFd.Uapi;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Xunit.Abstractions;

namespace IommuFd.ClusterTests.Ioctls;

/// <summary>
/// A batch answers what its ioctls answer one by one. Maps and unmaps that follow each other travel to their IOAS together, which nobody may notice.
/// </summary>
public sealed class BatchRunTests(ITestOutputHelper output) : IAsyncLifetime
{
    private IHost _host = null!;

    public async Task InitializeAsync() => _host = await SiloHost.StartInProcessAsync();

    public async Task DisposeAsync()
    {
        await _host.StopAsync();
        _host.Dispose();
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task A_batch_answers_what_its_ioctls_answer_one_by_one(bool stopAtFirstError)
    {
        var seed = Seed.Of(output);
        var random = new Random(seed);
        var (batched, single) = (await OpenAsync(), await OpenAsync());
        for (var i = 0; i < 150; i++)
        {
            var requests = Enumerable.Range(0, random.Next(1, 40)).Select(_ => Next(random)).ToArray();

            var batch = await batched.IoctlBatchAsync(new IoctlBatchRequest { Requests = requests, StopAtFirstError = stopAtFirstError }, default);

            var expected = new List<IoctlReply>();
            foreach (var request in requests.TakeWhile(_ => !stopAtFirstError || expected.Count == 0 || expected[^1].Errno == Errno.None))
            {
                expected.Add(await single.IoctlAsync(request, default));
            }

            Assert.Equal(expected.Select(Show), batch.Replies.Select(Show));
            Assert.Equal(await StateAsync(single), await StateAsync(batched));
        }

        Assert.True((await StateAsync(batched)).Sum(state => state.AreaCount) > 0, $"seed {seed}: something is mapped at the end");
    }

    private static string Show(IoctlReply reply)
        => $"{reply.Errno} {reply.Diagnostic?.Reason} {(reply.Argument is { } argument ? Convert.ToHexStringLower(argument) : "")}";

    // Mostly maps and unmaps of a small part of two IOASes, so that they meet; now and then something that ends a run.
    private static IoctlRequest Next(Random random)
    {
        var ioas = random.Next(20) == 0 ? 9u : (uint)random.Next(1, 3);
        var iova = (ulong)random.Next(1, 24) << 12;
        var length = (ulong)random.Next(0, 4) << 12;
        return random.Next(10) switch
        {
            0 => Request(IommuCommand.Option, new IommuOption { Size = 24, OptionId = 1, Op = (ushort)random.Next(3), ObjectId = ioas, Val64 = (ulong)random.Next(2) }),
            1 => Request(IommuCommand.IoasCopy, new IommuIoasCopy { Size = 40, Flags = 7, SrcIoasId = ioas, DstIoasId = 2, Length = length, SrcIova = iova, DstIova = iova }),
            < 6 => Request(IommuCommand.IoasUnmap, new IommuIoasUnmap { Size = 24, IoasId = ioas, Iova = iova, Length = length }, random.Next(15) == 0 ? 20u : 24u),
            _ => Request(
                IommuCommand.IoasMap,
                new IommuIoasMap
                {
                    Size = random.Next(15) == 0 ? 39u : 40u,
                    Flags = (uint)random.Next(random.Next(10) == 0 ? 16 : 8),
                    IoasId = ioas,
                    UserVa = 0x7000_0000 + iova,
                    Length = length,
                    Iova = iova,
                }),
        };
    }

    private static IoctlRequest Request<T>(IommuCommand command, T argument, uint writable = 40)
        where T : unmanaged
        => new() { Command = (uint)command, Argument = UapiStruct.ToBytes(in argument), WritableBytes = writable };

    private static async Task<List<IoasState>> StateAsync(ContextCalls grain)
    {
        var states = new List<IoasState>();
        for (var id = 1u; id <= 2; id++)
        {
            states.Add((IoasState)(await grain.InspectObjectAsync(new ObjectId(id), new StatePage(0, 1000)))!.State!);
        }

        return states;
    }

    private async Task<ContextCalls> OpenAsync()
    {
        var grain = new GrainChannel(_host.Services.GetRequiredService<IGrainFactory>()).Find(ContextHandle.NewRandom());
        await grain.OpenAsync(new OpenRequest(ContextMode.Volatile, "batch"));
        for (var i = 0; i < 2; i++)
        {
            await grain.IoctlAsync(Request(IommuCommand.IoasAlloc, new IommuIoasAlloc { Size = 12 }), default);
        }

        return grain;
    }
}
