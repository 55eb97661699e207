using IommuFd.Bench.Harness;
using IommuFd.Client;
using IommuFd.GrainInterfaces;
using IommuFd.Uapi;

namespace IommuFd.Bench.Sections;

/// <summary>An IOAS with a number of areas of one page, each with a hole of one page behind it, and a second IOAS to copy to.</summary>
internal sealed class FilledIoas
{
    public const ulong Page = Ioctls.PageBytes;

    // A prime that divides none of the sizes, so that areas all over the IOAS are hit.
    private const uint AllOver = 7919;

    private const int MapsAtOnce = 2048;

    // The lowest IOVA that can be chosen automatically, so that automatic IOVAs find room only between the areas or behind them.
    private const ulong FirstIova = 0x1000;

    private readonly IommuContext _context;
    private readonly ContextCalls _grain;
    private readonly ObjectId _ioas;
    private readonly ObjectId _other;
    private uint _last;

    private FilledIoas(IommuContext context, ContextCalls grain, ObjectId ioas, ObjectId other, int areas)
    {
        _context = context;
        _grain = grain;
        _ioas = ioas;
        _other = other;
        Areas = areas;
    }

    public int Areas { get; }

    public static async Task<FilledIoas> OpenAsync(BenchRun run, int areas)
    {
        var context = await run.Client.OpenAsync("bench");
        var grain = new GrainChannel(run.Grains).Find(context.Handle);
        var filled = new FilledIoas(context, grain, await context.AllocateIoasAsync(), await context.AllocateIoasAsync(), areas);
        foreach (var chunk in Enumerable.Range(0, areas).Chunk(MapsAtOnce))
        {
            var batch = await grain.IoctlBatchAsync(new IoctlBatchRequest { Requests = [.. chunk.Select(area => filled.Map(IovaOf((uint)area)))] }, default);
            Expect(batch.Replies.All(reply => reply.Errno == Errno.None), "filling an IOAS");
        }

        return filled;
    }

    public ValueTask CloseAsync() => _context.DisposeAsync();

    /// <summary>Unmaps one of the areas and maps it again.</summary>
    public async ValueTask<bool> UnmapMapAsync()
    {
        var iova = NextIova();
        return await SucceedsAsync(Unmap(_ioas, iova)) && await SucceedsAsync(Map(iova));
    }

    /// <summary>Copies one of the areas to the other IOAS and unmaps it there.</summary>
    public async ValueTask<bool> CopyUnmapAsync()
    {
        var iova = NextIova();
        return await SucceedsAsync(Copy(iova)) && await SucceedsAsync(Unmap(_other, iova));
    }

    /// <summary>Maps two pages at an automatic IOVA, which is behind all areas, and unmaps them.</summary>
    public async ValueTask<bool> MapAnywhereUnmapAsync()
    {
        var reply = await _grain.IoctlAsync(MapAnywhere(), default);
        var iova = UapiStruct.Read<IommuIoasMap>(reply.Argument).Iova;
        return reply.Errno == Errno.None && await SucceedsAsync(Unmap(_ioas, iova, 2 * Page));
    }

    /// <summary>A batch that unmaps and maps an area a number of times.</summary>
    public IoctlBatchRequest UnmapMapBatch(int pairs)
        => new() { Requests = [.. Enumerable.Range(0, pairs).Select(_ => NextIova()).SelectMany(iova => new[] { Unmap(_ioas, iova), Map(iova) })] };

    public ValueTask<IoctlBatchReply> RunAsync(IoctlBatchRequest batch) => _grain.IoctlBatchAsync(batch, default);

    private async ValueTask<bool> SucceedsAsync(IoctlRequest request) => (await _grain.IoctlAsync(request, default)).Errno == Errno.None;

    private ulong NextIova() => IovaOf(_last = (_last + AllOver) % (uint)Areas);

    private static ulong IovaOf(uint area) => FirstIova + (area * 2UL * Page);

    private IoctlRequest Map(ulong iova) => Ioctls.MapPage(_ioas, iova);

    private IoctlRequest MapAnywhere() => Ioctls.Map(new IommuIoasMap { Flags = 6, IoasId = _ioas.Value, UserVa = Ioctls.UserVa, Length = 2 * Page });

    private IoctlRequest Copy(ulong iova) => Ioctls.Request(
        IommuCommand.IoasCopy,
        new IommuIoasCopy { Flags = 7, SrcIoasId = _ioas.Value, DstIoasId = _other.Value, Length = Page, SrcIova = iova, DstIova = iova });

    private static IoctlRequest Unmap(ObjectId ioas, ulong iova, ulong length = Page)
        => Ioctls.Request(IommuCommand.IoasUnmap, new IommuIoasUnmap { IoasId = ioas.Value, Iova = iova, Length = length });

    private static void Expect(bool holds, string what)
    {
        if (!holds)
        {
            throw new InvalidOperationException($"An ioctl failed while {what}.");
        }
    }
}
