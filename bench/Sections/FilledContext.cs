using IommuFd.Bench.Harness;
using IommuFd.Client;
using IommuFd.GrainInterfaces;
using IommuFd.Uapi;

namespace IommuFd.Bench.Sections;

/// <summary>A context with the IOASes 1 to <see cref="Live"/>, filled in as few calls as possible.</summary>
internal sealed class FilledContext
{
    // A batch must end well within a call's response timeout, and an activation takes longer than an allocation.
    private const int AllocationsAtOnce = IoctlLimits.MaxBatch;
    private const int ActivationsAtOnce = 1024;

    private FilledContext(IommuContext context, ContextCalls grain)
    {
        Context = context;
        Grain = grain;
    }

    public IommuContext Context { get; }

    public ContextCalls Grain { get; }

    public int Live { get; private set; }

    public static async Task<FilledContext> OpenAsync(BenchRun run)
    {
        var context = await run.Client.OpenAsync("bench");
        return new FilledContext(context, new GrainChannel(run.Grains).Find(context.Handle));
    }

    /// <summary>Allocates IOASes without using them.</summary>
    public async Task AllocateAsync(int count)
    {
        await RunAsync(Enumerable.Repeat(Ioctls.Alloc, count), AllocationsAtOnce);
        Live += count;
    }

    /// <summary>Uses the first IOASes, so that their grains are active.</summary>
    public Task ActivateAsync(int count)
        => RunAsync(Enumerable.Range(1, count).Select(id => Ioctls.HugePages(new ObjectId((uint)id), IommuOptionOp.Get)), ActivationsAtOnce);

    /// <summary>Maps one page at every other page of an IOAS, starting at an IOVA.</summary>
    public Task MapAsync(ObjectId ioas, ulong firstIova, int areas)
        => RunAsync(Enumerable.Range(0, areas).Select(area => Ioctls.MapPage(ioas, firstIova + ((ulong)area * 2 * Ioctls.PageBytes))), ActivationsAtOnce);

    /// <summary>Attaches a number of emulated devices, each with its owner, to every IOAS.</summary>
    public Task AttachMocksAsync(int each)
        => RunAsync(Enumerable.Range(1, Live).SelectMany(id => Enumerable.Repeat(Ioctls.MockDomain(new ObjectId((uint)id)), each)), ActivationsAtOnce);

    private async Task RunAsync(IEnumerable<IoctlRequest> requests, int atOnce)
    {
        foreach (var chunk in requests.Chunk(atOnce))
        {
            var batch = await Grain.IoctlBatchAsync(new IoctlBatchRequest { Requests = chunk }, default);
            if (Array.Find(batch.Replies, reply => reply.Errno != Errno.None) is { } failed)
            {
                throw new InvalidOperationException($"Filling a context failed: {failed.Errno} ({failed.Diagnostic}).");
            }
        }
    }
}
