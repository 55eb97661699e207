namespace IommuFd.GrainInterfaces;

/// <summary>A user buffer that the command's descriptor names, as found in the caller's memory.</summary>
[GenerateSerializer, Immutable, Alias("IommuFd.UserBuffer")]
public sealed class UserBuffer
{
    /// <summary>Its index among the descriptor's buffers.</summary>
    [Id(0)]
    public byte Index { get; init; }

    /// <summary>The buffer's address, from the caller's argument.</summary>
    [Id(1)]
    public ulong Address { get; init; }

    /// <summary>The buffer's length in bytes, from the caller's argument.</summary>
    [Id(2)]
    public ulong Length { get; init; }

    /// <summary>Leading bytes that can be read.</summary>
    [Id(3)]
    public ulong ReadableBytes { get; init; }

    /// <summary>Leading bytes that can be written.</summary>
    [Id(4)]
    public ulong WritableBytes { get; init; }

    /// <summary>
    /// The first readable bytes, at most <see cref="IoctlLimits.MaxBufferBytes"/>; empty if the command does not read the buffer.
    /// </summary>
    [Id(5)]
    public byte[] Content { get; init; } = [];

    /// <summary>The file whose mapping the buffer is, so that pages mapped by the file are known as the buffer's; null for other memory, or if the command copies the buffer.</summary>
    [Id(6)]
    public FileMapping? Mapping { get; init; }
}
