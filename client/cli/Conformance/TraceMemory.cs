using IommuFd.Client;
using IommuFd.GrainInterfaces;

namespace IommuFd.Cli.Conformance;

/// <summary>The memory of the program that the traces were recorded with. Addresses outside its regions can't be accessed.</summary>
internal sealed class TraceMemory
{
    public const ulong ArgsAddress = 0x2000_0000_0000;
    public const ulong DataAddress = 0x1000_0000_0000;
    public const ulong RodataAddress = 0x1000_0100_0000;
    public const ulong HoleAddress = 0x3000_0000_0000;
    public const int BufferOffset = 0x1000;

    /// <summary>The first descriptor that traces use for files that ioctls open.</summary>
    public const int FirstOpenedFile = 1000;

    private readonly byte[] _args = new byte[64 * 1024];
    private readonly byte[] _data = new byte[4 << 20];
    private readonly byte[] _expected = new byte[64 * 1024];

    public TraceMemory() => Caller = new CallerMemory { FirstFileDescriptor = FirstOpenedFile, ReusesFileDescriptors = false }
        .Add(ArgsAddress, _args)
        .Add(RodataAddress, new byte[64 * 1024], MemoryAccess.Read)
        .AddFile(900, new UserFile("memfd behind DATA", IsMemfd: true, 4 << 20), _data)
        .MapFile(DataAddress, 900)
        .AddFile(901, new UserFile("a regular file", IsMemfd: false, 4 << 20));

    public CallerMemory Caller { get; }

    /// <summary>Sets the memory of the arguments to its content before a step.</summary>
    public void Load(TraceStep step)
    {
        Array.Clear(_args);
        Put(_args, 0, step.Input);
        Put(_args, BufferOffset, step.Memory);
    }

    /// <summary>Compares the memory of the arguments with its content after the step. Returns the first difference, or null.</summary>
    public string? FindDifference(TraceStep step)
    {
        Array.Clear(_expected);
        Put(_expected, 0, step.Input);
        Put(_expected, BufferOffset, step.Memory);
        Put(_expected, 0, step.Output ?? "");
        if (step.MemoryOutput is { } output)
        {
            Put(_expected, output[0].GetInt32(), output[1].GetString()!);
        }

        var at = _expected.AsSpan().CommonPrefixLength(_args);
        return at == _expected.Length ? null : $"at ARGS+0x{at:X} memory has {Show(_args, at)}, Linux left {Show(_expected, at)}";
    }

    private static string Show(byte[] memory, int at)
        => Convert.ToHexStringLower(memory.AsSpan(at & ~7, Math.Min(16, memory.Length - (at & ~7))));

    private static void Put(byte[] memory, int offset, string hex)
        => Convert.FromHexString(hex, memory.AsSpan(offset), out _, out _);
}
