using IommuFd.Bench.Harness;
using IommuFd.Bench.Yardsticks;
using IommuFd.Client;
using IommuFd.GrainInterfaces;
using IommuFd.Uapi;

namespace IommuFd.Bench.Sections;

// Every ioctl is measured twice in the same rounds: on the context's grain, which has the target, since the yardstick is called the same
// way; and through the SDK, which is what users get and adds the cost of its API.

/// <summary>Ioctls one at a time and in batches, with few and many callers, against hops.</summary>
internal static class IoctlSection
{
    private const int BatchSize = 64;

    private static readonly Target OfHops = Target.RatioAtLeast(0.8);
    private static readonly Target OfOneAtATime = Target.RatioAtLeast(10);

    private static readonly ObjectId Existing = new(1);
    private static readonly ObjectId Missing = new(1_000_000_000);

    private static readonly IoctlRequest DestroyMissing = Ioctls.Destroy(Missing);

    public static async Task RunAsync(BenchRun run)
    {
        foreach (var (contexts, callers) in new[] { (1, 1), (1, 100), (100, 100) })
        {
            await using var set = await ContextSet.OpenAsync(run, contexts, callers);
            var section = $"ioctl, {contexts} context{(contexts == 1 ? "" : "s")}, {callers} caller{(callers == 1 ? "" : "s")}";
            await CompareOneAtATimeAsync(run, section, set);
            await ComparePairsAsync(run, section, set);
            await CompareBatchesAsync(run, section, set);
        }
    }

    private static async Task CompareOneAtATimeAsync(BenchRun run, string section, ContextSet set)
    {
        await run.CompareAsync(
            section,
            set.OneHop(bytes: 8),
            (set.Ioctl("DESTROY of a missing id", DestroyMissing, Errno.ENOENT), OfHops),
            (set.Load("DESTROY of a missing id, SDK", 1, SdkDestroyMissingAsync, result => result.Errno == Errno.ENOENT), null));
        await run.CompareAsync(
            section,
            set.OneHop(bytes: 24),
            (set.Ioctl("OPTION RLIMIT_MODE get", Ioctls.GetRlimitMode), OfHops),
            (set.Load("OPTION RLIMIT_MODE get, SDK", 1, target => target.Context.GetRlimitModeAsync(), mode => mode == RlimitMode.User), null));
        await run.CompareAsync(
            section,
            set.TwoHops(bytes: 24),
            (set.Ioctl("OPTION HUGE_PAGES get", Ioctls.HugePages(Existing, IommuOptionOp.Get)), OfHops),
            (set.Load("OPTION HUGE_PAGES get, SDK", 1, target => target.Context.GetHugePagesAsync(Existing), enabled => enabled), null));
    }

    // An object that was never used has no activation. A used one had to be activated and ended, as the second yardstick does with a
    // trivial grain.
    private static async Task ComparePairsAsync(BenchRun run, string section, ContextSet set)
    {
        var hops = set.Load("one hop, 12 B and 8 B", 2, TwoPingsAsync, IsAnswered);
        await run.CompareAsync(
            section,
            hops,
            (set.Load("IOAS_ALLOC, DESTROY", 2, AllocDestroyAsync, IsSuccess), OfHops),
            (set.Load("IOAS_ALLOC, DESTROY, SDK", 2, SdkAllocDestroyAsync, done => done), null),
            (set.Load("IOAS_ALLOC, HUGE_PAGES set, DESTROY", 3, AllocUseDestroyAsync, IsSuccess), null));
        await run.CompareAsync(
            section,
            set.Load("hop, activate by a hop, end by a hop", 3, ActivateEndAsync, IsAnswered),
            (set.Load("IOAS_ALLOC, HUGE_PAGES set, DESTROY", 3, AllocUseDestroyAsync, IsSuccess), OfHops));
    }

    private static async Task CompareBatchesAsync(BenchRun run, string section, ContextSet set)
    {
        var destroys = new IoctlBatchRequest { Requests = [.. Enumerable.Repeat(DestroyMissing, BatchSize)] };
        await run.CompareAsync(
            section,
            set.Ioctl("DESTROY of a missing id", DestroyMissing, Errno.ENOENT),
            (set.Batch($"{BatchSize} DESTROY of a missing id in a batch", destroys, Errno.ENOENT), OfOneAtATime));
        await run.CompareAsync(
            section,
            set.Load("DESTROY of a missing id, SDK", 1, SdkDestroyMissingAsync, result => result.Errno == Errno.ENOENT),
            (set.Load($"{BatchSize} DESTROY of a missing id in a batch, SDK", BatchSize, SdkDestroyBatchAsync, results => results.Count == BatchSize), OfOneAtATime));

        // A batch is one turn, so the lowest free id is known: the one after the existing object's.
        IoctlRequest[] pair = [Ioctls.Alloc, Ioctls.Destroy(new ObjectId(Existing.Value + 1))];
        var pairs = new IoctlBatchRequest { Requests = [.. Enumerable.Repeat(pair, BatchSize / 2).SelectMany(requests => requests)] };
        await run.CompareAsync(
            section,
            set.Load("IOAS_ALLOC, DESTROY", 2, AllocDestroyAsync, IsSuccess),
            (set.Batch($"{BatchSize / 2} IOAS_ALLOC, DESTROY in a batch", pairs, Errno.None), OfOneAtATime));
    }

    private static async ValueTask<YardstickReply> TwoPingsAsync(CallTarget target)
    {
        await target.Ping.PingAsync(new YardstickRequest { Argument = new byte[12] });
        return await target.Ping.PingAsync(new YardstickRequest { Argument = new byte[8] });
    }

    private static async ValueTask<YardstickReply> ActivateEndAsync(CallTarget target)
    {
        var reply = await target.Ping.PingAsync(new YardstickRequest { Argument = new byte[12] });
        await target.Relay.RelayToAsync(target.Caller, new YardstickRequest { Argument = new byte[24] });
        await target.Relay.EndOneAsync(target.Caller);
        return reply;
    }

    private static async ValueTask<IoctlReply> AllocDestroyAsync(CallTarget target)
    {
        var allocated = await target.Grain.IoctlAsync(Ioctls.Alloc, default);
        return await target.Grain.IoctlAsync(Ioctls.Destroy(Ioctls.AllocatedId(allocated)), default);
    }

    private static async ValueTask<IoctlReply> AllocUseDestroyAsync(CallTarget target)
    {
        var id = Ioctls.AllocatedId(await target.Grain.IoctlAsync(Ioctls.Alloc, default));
        var set = await target.Grain.IoctlAsync(Ioctls.HugePages(id, IommuOptionOp.Set), default);
        return set.Errno == Errno.None ? await target.Grain.IoctlAsync(Ioctls.Destroy(id), default) : set;
    }

    private static ValueTask<IoctlResult> SdkDestroyMissingAsync(CallTarget target)
        => target.Context.IoctlAsync(IommuCommand.Destroy, new IommuDestroy { Id = Missing.Value });

    private static async ValueTask<bool> SdkAllocDestroyAsync(CallTarget target)
    {
        var id = await target.Context.AllocateIoasAsync();
        await target.Context.DestroyAsync(id);
        return true;
    }

    private static async ValueTask<IReadOnlyList<IoctlResult>> SdkDestroyBatchAsync(CallTarget target)
    {
        var batch = target.Context.CreateBatch();
        for (var i = 0; i < BatchSize; i++)
        {
            batch.Destroy(Missing);
        }

        return await batch.RunAsync();
    }

    private static bool IsAnswered(YardstickReply reply) => reply.Argument.Length > 0;

    private static bool IsSuccess(IoctlReply reply) => reply.Errno == Errno.None;
}
