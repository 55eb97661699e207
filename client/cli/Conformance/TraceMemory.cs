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
    public const ulong DataBytes = 4 << 20;
    public const ulong RodataBytes = 64 * 1024;
    public const int BufferOffset = 0x1000;

    /// <summary>Bytes of the memory of the arguments, if a sequence does not say that it has more.</summary>
    public const int ArgsBytes = 64 * 1024;

    private const int MaxArgsBytes = 4 << 20;

    /// <summary>The first descriptor that traces use for files that ioctls open.</summary>
    public const int FirstOpenedFile = 1000;

    private readonly byte[] _args;
    private readonly byte[] _data = new byte[DataBytes];
    private readonly byte[] _expected;

    /// <param name="argsBytes">Bytes of the memory of the arguments.</param>
    /// <exception cref="CliException">That is less than each sequence has, or more than one can have.</exception>
    public TraceMemory(int argsBytes = ArgsBytes)
    {
        if (argsBytes is < ArgsBytes or > MaxArgsBytes)
        {
            throw new CliException($"A sequence has {argsBytes} bytes for arguments: it can have {ArgsBytes} to {MaxArgsBytes}.");
        }

        (_args, _expected) = (new byte[argsBytes], new byte[argsBytes]);
        Caller = new CallerMemory { FirstFileDescriptor = FirstOpenedFile, ReusesFileDescriptors = false }
            .Add(ArgsAddress, _args)
            .Add(RodataAddress, new byte[RodataBytes], MemoryAccess.Read)
            .AddFile(900, new UserFile("memfd behind DATA", IsMemfd: true, DataBytes), _data)
            .MapFile(DataAddress, 900)
            .AddFile(901, new UserFile("a regular file", IsMemfd: false, DataBytes));
    }

    public CallerMemory Caller { get; }

    /// <summary>An address where nothing is, aligned as another one.</summary>
    public static ulong MissingAddress(ulong address) => HoleAddress + (address & 0xFFFF_FFFF);

    /// <summary>An offset behind the end of the file that is DATA, aligned as another one.</summary>
    public static ulong MissingOffset(ulong offset) => offset >= DataBytes ? offset : DataBytes + offset;

    /// <summary>Bytes of the memory of the arguments, with room for a buffer at any offset in a page.</summary>
    public static int ArgsBytesFor(int bufferBytes) => (BufferOffset + 0x1000 + bufferBytes + ArgsBytes - 1) / ArgsBytes * ArgsBytes;

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
        return at == _expected.Length ? null : $"at ARGS+0x{at:X} memory has {Show(_args, at)}, the trace {Show(_expected, at)}";
    }

    private static string Show(byte[] memory, int at)
        => Convert.ToHexStringLower(memory.AsSpan(at & ~7, Math.Min(16, memory.Length - (at & ~7))));

    private static void Put(byte[] memory, int offset, string hex)
        => Convert.FromHexString(hex, memory.AsSpan(offset), out _, out _);
}
