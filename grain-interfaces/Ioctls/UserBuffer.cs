namespace IommuFd.GrainInterfaces;

/// <summary>A user buffer that the command's descriptor names, as found in the caller's memory.</summary>
[GenerateSerializer, Immutable, Alias("IommuFd.UserBuffer")]
public sealed class UserBuffer
{
    /// <summary>Which of the descriptor's buffers it is.</summary>
    [Id(0)]
    public byte Index { get; init; }

    /// <summary>Where the caller's argument says the buffer is.</summary>
    [Id(1)]
    public ulong Address { get; init; }

    /// <summary>Bytes that the caller's argument says it has.</summary>
    [Id(2)]
    public ulong Length { get; init; }

    /// <summary>Leading bytes that can be read.</summary>
    [Id(3)]
    public ulong ReadableBytes { get; init; }

    /// <summary>Leading bytes that can be written.</summary>
    [Id(4)]
    public ulong WritableBytes { get; init; }

    /// <summary>The first readable bytes, at most <see cref="IoctlLimits.MaxBufferBytes"/>; empty where the command does not read the buffer.</summary>
    [Id(5)]
    public byte[] Content { get; init; } = [];
}
