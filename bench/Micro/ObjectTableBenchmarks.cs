using BenchmarkDotNet.Attributes;
using IommuFd.Grains.Model;
using IommuFd.Grains.Objects.Ioas;

namespace IommuFd.Bench.Micro;

// With the same id over and over, the cost should not grow with the table. With ids all over the table, memory that is no longer in the
// processor's caches adds the machine's cost, which is measured beside it.

/// <summary>The object table without a grain around it.</summary>
[MemoryDiagnoser]
public class ObjectTableBenchmarks
{
    private const uint Stride = 7919;

    private ObjectTable _table = new();
    private uint _last;

    [Params(10, 10_000, 1_000_000)]
    public int Live { get; set; }

    [GlobalSetup]
    public void Fill()
    {
        _table = new ObjectTable();
        for (var i = 0; i < Live; i++)
        {
            _table.Finalize(_table.Reserve(static (id, serial) => new IoasEntry(id, serial))!);
        }
    }

    [Benchmark(Description = "destroy and allocate, one id")]
    public uint OneId() => Replace((uint)Live / 2);

    [Benchmark(Description = "destroy and allocate, ids all over")]
    public uint IdsAllOver()
    {
        _last = (_last + Stride) % (uint)Live;
        return Replace(_last + 1);
    }

    private uint Replace(uint id)
    {
        _table.Remove(id, leaveTombstone: false, out _);
        var entry = _table.Reserve(static (id, serial) => new IoasEntry(id, serial))!;
        _table.Finalize(entry);
        return entry.Id.Value;
    }
}
