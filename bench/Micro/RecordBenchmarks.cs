using BenchmarkDotNet.Attributes;
using IommuFd.Bench.Sections;
using IommuFd.GrainInterfaces;
using IommuFd.Grains.Model;
using IommuFd.Grains.Monitoring;

namespace IommuFd.Bench.Micro;

/// <summary>
/// The cost of counting an ioctl in its silo and recording it in its context, including the time stamp at the start of its turn.
/// </summary>
[MemoryDiagnoser]
public class RecordBenchmarks
{
    private const int BatchSize = 64;

    private static readonly IoctlRequest Request = Ioctls.Destroy(new ObjectId(1));
    private static readonly IoctlBatchRequest Batch = new() { Requests = [.. Enumerable.Repeat(Request, BatchSize)] };
    private static readonly IoctlBatchReply BatchReply = new() { Replies = [.. Enumerable.Repeat(IoctlReply.Success, BatchSize)] };

    private readonly MonitoredContext _context = new(
        ContextHandle.NewRandom().Key, new ContextModel(), TimeProvider.System, new SiloStatistics(new ContextDirectory(), TimeProvider.System));

    [Benchmark(Description = "record an ioctl")]
    public void One() => _context.Record(Request, IoctlReply.Success, TimeProvider.System.GetTimestamp(), hasWaited: false);

    [Benchmark(Description = "record an ioctl of a batch of 64", OperationsPerInvoke = BatchSize)]
    public void OfBatch() => _context.Record(Batch, BatchReply, TimeProvider.System.GetTimestamp());
}
