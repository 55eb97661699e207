using IommuFd.GrainInterfaces;

namespace IommuFd.Client;

/// <summary>The memory of an argument that is in a buffer: the buffer at an address that no program can use, and the memory that the argument's pointers refer to.</summary>
internal sealed class ArgumentMemory(Memory<byte> argument, ICallerMemory? memory) : ICallerMemory
{
    /// <summary>Not canonical on x86-64, so no pointer of a program can have this value.</summary>
    public const ulong Address = 0x8000_0000_0000_0000;

    /// <summary>The memory that the argument's pointers refer to; null for none.</summary>
    public ICallerMemory? Rest => memory;

    public int Read(ulong address, Span<byte> destination)
    {
        if (!TryFind(address, out var bytes))
        {
            return memory?.Read(address, destination) ?? 0;
        }

        var count = Math.Min(bytes.Length, destination.Length);
        bytes.Span[..count].CopyTo(destination);
        return count;
    }

    public int Write(ulong address, ReadOnlySpan<byte> source)
    {
        if (!TryFind(address, out var bytes))
        {
            return memory?.Write(address, source) ?? 0;
        }

        var count = Math.Min(bytes.Length, source.Length);
        source[..count].CopyTo(bytes.Span);
        return count;
    }

    public ulong Accessible(ulong address, ulong length, MemoryAccess access)
        => TryFind(address, out var bytes) ? Math.Min((ulong)bytes.Length, length) : memory?.Accessible(address, length, access) ?? 0;

    public FileMapping? FindMapping(ulong address, ulong length) => TryFind(address, out _) ? null : memory?.FindMapping(address, length);

    public UserFile? FindFile(int fileDescriptor) => memory?.FindFile(fileDescriptor);

    public ulong? LengthOf(MappedFile file) => memory?.LengthOf(file);

    public int InstallFile(IommuFile file) => memory?.InstallFile(file) ?? -1;

    public int InstallDmaBuf(DmaBuf dmaBuf) => memory?.InstallDmaBuf(dmaBuf) ?? -1;

    public int ReadFile(MappedFile file, ulong offset, Span<byte> destination) => memory?.ReadFile(file, offset, destination) ?? 0;

    public int WriteFile(MappedFile file, ulong offset, ReadOnlySpan<byte> source) => memory?.WriteFile(file, offset, source) ?? 0;

    private bool TryFind(ulong address, out Memory<byte> bytes)
    {
        var offset = address - Address;
        var found = offset <= (ulong)argument.Length;
        bytes = found ? argument[(int)offset..] : default;
        return found;
    }
}
