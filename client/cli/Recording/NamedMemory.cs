using IommuFd.GrainInterfaces;
using IommuFd.Uapi;

namespace IommuFd.Cli.Recording;

/// <summary>What a program can do with memory that it names for a mapping.</summary>
internal enum NamedMemoryKind
{
    /// <summary>Read and write it.</summary>
    Writable,

    /// <summary>Read it.</summary>
    ReadOnly,

    /// <summary>Nothing: there is none.</summary>
    Missing,

    /// <summary>No place can stand for it: it is at address 0, or goes beyond the last address.</summary>
    Nowhere,
}

/// <summary>Memory that an ioctl names: to map it, or to compare it with what is mapped.</summary>
/// <param name="Kind">What can be done with it.</param>
/// <param name="Space">The program whose addresses, or the file whose offsets, <paramref name="Start"/> is one of.</param>
/// <param name="Start">Its first byte.</param>
/// <param name="Bytes">Leading bytes that are there.</param>
/// <param name="Length">Bytes that the ioctl names.</param>
internal readonly record struct NamedMemory(NamedMemoryKind Kind, string Space, ulong Start, ulong Bytes, ulong Length)
{
    /// <summary>Whether it ends before the bytes that the ioctl names.</summary>
    public bool EndsThere => Bytes < Length;

    /// <summary>A buffer that is named by its address.</summary>
    /// <param name="buffer">The buffer.</param>
    /// <param name="memory">Whose it is.</param>
    public static NamedMemory Of(UserBuffer buffer, MemorySource? memory)
    {
        if (buffer.Address == 0 || buffer.Length > ulong.MaxValue - buffer.Address)
        {
            return new NamedMemory(NamedMemoryKind.Nowhere, "", buffer.Address, 0, buffer.Length);
        }

        var kind = buffer.ReadableBytes == 0 ? NamedMemoryKind.Missing : buffer.WritableBytes == 0 ? NamedMemoryKind.ReadOnly : NamedMemoryKind.Writable;
        return kind == NamedMemoryKind.Writable && buffer.Mapping is { } mapping && mapping.Length >= buffer.ReadableBytes
            ? new NamedMemory(kind, SpaceOf(mapping.File.Identity), mapping.Offset, buffer.ReadableBytes, buffer.Length)
            : new NamedMemory(kind, $"program {memory?.Number ?? 0}", buffer.Address, buffer.ReadableBytes, buffer.Length);
    }

    /// <summary>A part of a file.</summary>
    /// <param name="file">The file, which is a memfd.</param>
    /// <param name="map">The ioctl that maps it.</param>
    public static NamedMemory Of(UserFile file, in IommuIoasMapFile map)
    {
        var kind = map.Length == 0 || map.Length > ulong.MaxValue - map.Start ? NamedMemoryKind.Nowhere : map.Start >= file.LengthBytes ? NamedMemoryKind.Missing : NamedMemoryKind.Writable;
        return new NamedMemory(kind, SpaceOf(file.Identity), map.Start, kind == NamedMemoryKind.Writable ? Math.Min(map.Length, file.LengthBytes - map.Start) : 0, map.Length);
    }

    private static string SpaceOf(string identity) => $"file {identity}";
}
