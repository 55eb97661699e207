using BenchmarkDotNet.Attributes;
using IommuFd.Bench.Sections;
using IommuFd.GrainInterfaces;
using IommuFd.Grains.Calls;
using IommuFd.Uapi;

namespace IommuFd.Bench.Micro;

/// <summary>The checks before a command runs, and the decoding of its argument.</summary>
[MemoryDiagnoser]
public class DecodeBenchmarks
{
    private readonly IoctlRequest _destroy = Ioctls.Destroy(new ObjectId(1));
    private readonly IoctlRequest _option = Ioctls.GetRlimitMode;
    private readonly IoctlRequest _map = Ioctls.Request(IommuCommand.IoasMap, new IommuIoasMap { IoasId = 1, UserVa = 0x1000, Length = 0x1000 });
    private readonly IoctlRequest _newer = new() { Command = (uint)IommuCommand.Destroy, Argument = [64, .. new byte[63]], WritableBytes = 64 };
    private readonly IoctlRequest _unknown = new() { Command = (uint)IommuCommand.Destroy + 0x7F, Argument = new byte[8] };

    [Benchmark(Description = "decode DESTROY")]
    public uint Destroy() => Decode<IommuDestroy>(_destroy).Id;

    [Benchmark(Description = "decode OPTION")]
    public ulong Option() => Decode<IommuOption>(_option).Val64;

    [Benchmark(Description = "decode IOAS_MAP")]
    public ulong Map() => Decode<IommuIoasMap>(_map).Length;

    [Benchmark(Description = "decode DESTROY with 56 zero bytes behind it")]
    public uint Newer() => Decode<IommuDestroy>(_newer).Id;

    [Benchmark(Description = "refuse an unknown number")]
    public bool Unknown() => Prevalidation.Check(_unknown, out _).Errno == Errno.ENOTTY;

    private static T Decode<T>(IoctlRequest request)
        where T : unmanaged
        => Prevalidation.Check(request, out _).Errno == Errno.None
            ? new IoctlCommand(IoctlTable.Find(request.Command)!, request).Read<T>()
            : throw new InvalidOperationException("The request did not pass the checks.");
}
