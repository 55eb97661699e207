using IommuFd.Client;
using IommuFd.GrainInterfaces;
using IommuFd.Grains.Calls;
using IommuFd.Grains.Dispatch;
using IommuFd.Uapi;
using IommuFd.UnitTests.Support;

namespace IommuFd.UnitTests.Client;

/// <summary>What stays pinned of a program's memory, whatever way its ioctls take and whatever becomes of them. The context behind is a real one.</summary>
public sealed class PinEffectTests
{
    private static readonly ObjectId Ioas = new(1);
    private static readonly ObjectId Other = new(2);
    private readonly RealContext _grain = new();
    private readonly IommufdClient _client;

    public PinEffectTests() => _client = new IommufdClient(new FakeChannel(_ => _grain), new IommufdClientOptions { RetryFor = TimeSpan.Zero });

    /// <summary>How a program issues an ioctl.</summary>
    public enum Way
    {
        Typed,
        Raw,
        Bytes,
        Batch,
    }

    [Theory]
    [CombinatorialWays]
    public async Task What_is_unmapped_or_destroyed_is_unpinned(Way way, bool isDestroy)
    {
        var context = await OpenAsync();
        var address = await MapAsync(context, Ioas, 0x1000);
        var errno = isDestroy ? await DestroyAsync(context, way, Ioas) : await UnmapAsync(context, way, Ioas, new IovaRange(0x1000, 0x1000));
        Expect.Equal(Errno.None, errno, $"{(isDestroy ? "destroying" : "unmapping")} by {way}");
        Expect.Equal(false, IsPinned(context, address), $"whether memory is pinned after that by {way}");
    }

    [Theory]
    [MemberData(nameof(Ways))]
    public async Task An_unmap_that_meets_an_area_that_it_cannot_remove_unpins_those_before_it(Way way)
    {
        var context = await OpenAsync();
        var before = await MapAsync(context, Ioas, 0x1000);
        var stop = await MapAsync(context, Ioas, 0x2000, length: 0x100);
        Expect.Equal(Errno.ENOENT, await UnmapAsync(context, way, Ioas, new IovaRange(0x1000, 0x2080)), $"the errno by {way}");
        Expect.Equal((false, true), (IsPinned(context, before), IsPinned(context, stop)), $"whether the area before and the one that stops the unmap are pinned, by {way}");
    }

    [Theory]
    [MemberData(nameof(Ways))]
    public async Task What_a_copy_maps_stays_pinned_when_its_source_is_unmapped(Way way)
    {
        var context = await OpenAsync();
        var address = await MapAsync(context, Ioas, 0x1000);
        Expect.Equal(Errno.None, await CopyAsync(context, way, 0x1000, 0x5000), $"copying by {way}");
        await context.UnmapAsync(Ioas, IovaRange.All);
        Expect.Equal(true, IsPinned(context, address), $"whether the memory is pinned that a copy by {way} still maps");
        await context.UnmapAsync(Other, new IovaRange(0x5000, 0x5000));
        Expect.Equal(false, IsPinned(context, address), "whether it is pinned when nothing maps it");
    }

    [Theory]
    [MemberData(nameof(Ways))]
    public async Task An_ioctl_that_fails_pins_and_unpins_nothing(Way way)
    {
        var context = await OpenAsync();
        var address = await MapAsync(context, Ioas, 0x1000);
        Expect.Equal(Errno.EEXIST, await CopyAsync(context, way, 0x1000, 0x1000, Ioas), $"the errno of a copy by {way}");
        Expect.Equal(Errno.ENOENT, await UnmapAsync(context, way, Ioas, new IovaRange(0x5000, 0x5FFF)), $"the errno of an unmap by {way}");
        Expect.Equal(Errno.ENOENT, await DestroyAsync(context, way, new ObjectId(77)), $"the errno of a destroy by {way}");
        Expect.Equal(true, IsPinned(context, address), "whether the memory is pinned");
        await context.UnmapAsync(Ioas, IovaRange.All);
        Expect.Equal(false, IsPinned(context, address), "whether it is pinned when nothing maps it");
    }

    [Fact]
    public async Task An_unmap_whose_answer_cannot_be_written_unpins_nothing()
    {
        var context = await OpenAsync();
        var address = await MapAsync(context, Ioas, 0x1000);
        var argument = UapiStruct.ToBytes(new IommuIoasUnmap { Size = 24, IoasId = 1, Iova = 0x1000, Length = 1 });
        var result = await context.IoctlAsync((uint)IommuCommand.IoasUnmap, 0x10, new CallerMemory().Add(0x10, argument, MemoryAccess.Read));
        Expect.Equal((Errno.EFAULT, true), (result.Errno, IsPinned(context, address)), "errno, and whether the memory is pinned");
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task A_map_without_an_answer_stays_pinned_if_it_may_have_run_until_it_is_unmapped(bool isFixed)
    {
        var context = await OpenAsync();
        _grain.Failure = new TimeoutException();
        await Assert.ThrowsAsync<IommufdTransportException>(() => context.MapAsync(Ioas, new byte[1], isFixed ? new Iova(0x1000) : null).AsTask());
        var mayBe = _grain.Address;
        _grain.Failure = new GatewayTooBusyException("busy");
        await Assert.ThrowsAsync<IommufdTransportException>(() => context.MapAsync(Ioas, new byte[1], new Iova(0x2000)).AsTask());
        var isNot = _grain.Address;
        _grain.Failure = null;
        Expect.Equal((true, false), (IsPinned(context, mayBe), IsPinned(context, isNot)), "whether memory is pinned that may be mapped, and that was not sent");
        await context.UnmapAsync(Ioas, isFixed ? new IovaRange(0x1000, 0x1000) : IovaRange.All);
        Expect.Equal(false, IsPinned(context, mayBe), "whether it is pinned when it was unmapped");
    }

    [Fact]
    public async Task A_map_that_is_cancelled_stays_pinned_until_the_file_is_closed()
    {
        var context = await OpenAsync();
        using var cancellation = new CancellationTokenSource();
        _grain.Gate = new TaskCompletionSource();
        var mapping = context.MapAsync(Ioas, new byte[1], cancellationToken: cancellation.Token).AsTask();
        await cancellation.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => mapping);
        Expect.Equal(true, IsPinned(context, _grain.Address), "whether the memory is pinned");
        await context.DisposeAsync();
        Expect.Equal(false, IsPinned(context, _grain.Address), "whether it is pinned after the end of the file");
    }

    [Theory]
    [MemberData(nameof(Ways))]
    public async Task An_unmap_or_a_destroy_without_an_answer_unpins_nothing(Way way)
    {
        var context = await OpenAsync();
        var address = await MapAsync(context, Ioas, 0x1000);
        _grain.Failure = new TimeoutException();
        await Assert.ThrowsAsync<IommufdTransportException>(() => UnmapAsync(context, way, Ioas, IovaRange.All));
        await Assert.ThrowsAsync<IommufdTransportException>(() => DestroyAsync(context, way, Ioas));
        Expect.Equal(true, IsPinned(context, address), "whether the memory is pinned");
    }

    [Theory]
    [MemberData(nameof(Ways))]
    public async Task A_copy_without_an_answer_keeps_its_source_pinned(Way way)
    {
        var context = await OpenAsync();
        var address = await MapAsync(context, Ioas, 0x1000);
        _grain.Failure = new TimeoutException();
        await Assert.ThrowsAsync<IommufdTransportException>(() => CopyAsync(context, way, 0x1000, 0x5000));
        _grain.Failure = null;
        await context.UnmapAsync(Ioas, IovaRange.All);
        Expect.Equal(true, IsPinned(context, address), $"whether the memory is pinned that a copy by {way} may map");
        await context.DestroyAsync(Other);
        Expect.Equal(false, IsPinned(context, address), "whether it is pinned when the IOAS of the copy is gone");
    }

    [Fact]
    public async Task What_is_mapped_while_an_unmap_is_under_way_stays_pinned()
    {
        var context = await OpenAsync();
        var old = await MapAsync(context, Ioas, 0x1000);
        var gate = _grain.Gate = new TaskCompletionSource();
        var unmapping = UnmapAsync(context, Way.Batch, Ioas, IovaRange.All);

        // The unmap has run, and its answer is on the way.
        _grain.Gate = null;
        var mapped = await MapAsync(context, Ioas, 0x1000);
        gate.SetResult();
        Expect.Equal(Errno.None, await unmapping, "the errno of the unmap");
        Expect.Equal((false, true), (IsPinned(context, old), IsPinned(context, mapped)), "whether what was unmapped and what was mapped after it are pinned");
    }

    public static TheoryData<Way> Ways => [.. Enum.GetValues<Way>()];

    private static bool IsPinned(IommuContext context, ulong address) => context.Memory.Accessible(address, 1, MemoryAccess.Read) == 1;

    private async Task<IommuContext> OpenAsync()
    {
        var context = await _client.OpenAsync();
        await context.AllocateIoasAsync();
        await context.AllocateIoasAsync();
        return context;
    }

    private async Task<ulong> MapAsync(IommuContext context, ObjectId ioas, ulong iova, int length = 1)
    {
        await context.MapAsync(ioas, new byte[length], new Iova(iova));
        return _grain.Address;
    }

    private static Task<Errno> DestroyAsync(IommuContext context, Way way, ObjectId id)
        => RunAsync(context, way, () => context.DestroyAsync(id).AsTask(), IommuCommand.Destroy, new IommuDestroy { Id = id.Value });

    private static Task<Errno> UnmapAsync(IommuContext context, Way way, ObjectId ioas, IovaRange range) => RunAsync(
        context, way, () => context.UnmapAsync(ioas, range).AsTask(), IommuCommand.IoasUnmap,
        new IommuIoasUnmap { IoasId = ioas.Value, Iova = range.Start, Length = range == IovaRange.All ? ulong.MaxValue : range.LengthBytes });

    private static Task<Errno> CopyAsync(IommuContext context, Way way, ulong source, ulong destination, ObjectId? to = null) => RunAsync(
        context, way, () => context.CopyAsync(Ioas, new IovaRange(source, source), to ?? Other, new Iova(destination)).AsTask(), IommuCommand.IoasCopy,
        new IommuIoasCopy { Flags = 7, SrcIoasId = 1, DstIoasId = (to ?? Other).Value, Length = 1, SrcIova = source, DstIova = destination });

    private static async Task<Errno> RunAsync<T>(IommuContext context, Way way, Func<Task> typed, IommuCommand command, T argument)
        where T : unmanaged
    {
        switch (way)
        {
            case Way.Typed:
                try
                {
                    await typed();
                    return Errno.None;
                }
                catch (IommufdException exception)
                {
                    return exception.Errno;
                }

            case Way.Raw:
                return (await context.IoctlAsync(command, argument)).Errno;

            case Way.Bytes:
                var bytes = UapiStruct.ToBytes(in argument);
                BitConverter.TryWriteBytes(bytes, bytes.Length);
                return (await context.IoctlAsync((uint)command, bytes)).Errno;

            default:
                return (await context.CreateBatch().Add(command, argument).RunAsync())[0].Errno;
        }
    }

    /// <summary>Each way, for both.</summary>
    private sealed class CombinatorialWaysAttribute : Xunit.Sdk.DataAttribute
    {
        public override IEnumerable<object[]> GetData(System.Reflection.MethodInfo testMethod)
            => from way in Enum.GetValues<Way>() from isDestroy in new[] { false, true } select new object[] { way, isDestroy };
    }

    /// <summary>A context whose answers can be lost or late.</summary>
    private sealed class RealContext : FakeGrainBase
    {
        private readonly OpenContext _context = new();

        /// <summary>What each request fails with, after it has run.</summary>
        public Exception? Failure { get; set; }

        /// <summary>What answers wait for; null for nothing.</summary>
        public TaskCompletionSource? Gate { get; set; }

        /// <summary>The address of the last map.</summary>
        public ulong Address { get; private set; }

        public override ValueTask<IoctlReply> IoctlAsync(ContextHandle handle, IoctlRequest request, OperationId operation)
        {
            Address = request.Command == (uint)IommuCommand.IoasMap ? UapiStruct.Read<IommuIoasMap>(request.Argument).UserVa : Address;
            return AnswerAsync(Failure is GatewayTooBusyException ? null! : _context.Run(request));
        }

        public override async ValueTask<IoctlBatchReply> IoctlBatchAsync(ContextHandle handle, IoctlBatchRequest request, OperationId operation)
            => await AnswerAsync(await ContextOperations.BatchAsync(new IoctlScope(_context.Model, _context.ObjectGrains), request));

        private async ValueTask<T> AnswerAsync<T>(T reply)
        {
            if (Gate is { } gate)
            {
                await gate.Task;
            }

            return Failure is null ? reply : throw Failure;
        }
    }
}
