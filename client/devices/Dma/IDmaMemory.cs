using IommuFd.Client;
using IommuFd.GrainInterfaces;

namespace IommuFd.Devices;

/// <summary>The memory of the programs that map it for a device. The host of the devices provides it: the service only says where memory is.</summary>
public interface IDmaMemory
{
    /// <summary>Copies bytes out of a piece of memory.</summary>
    /// <param name="piece">The piece, as the context names it: memory of a program (<see cref="UserMemoryPiece.Source"/>), or of a file.</param>
    /// <param name="offset">The first byte, from the piece's start.</param>
    /// <param name="destination">The buffer for the bytes.</param>
    /// <returns>Whether all of them were copied.</returns>
    bool TryRead(UserMemoryPiece piece, ulong offset, Span<byte> destination);

    /// <summary>Copies bytes into a piece of memory.</summary>
    /// <param name="piece">The piece.</param>
    /// <param name="offset">The first byte, from the piece's start.</param>
    /// <param name="source">The bytes.</param>
    /// <returns>Whether all of them were copied.</returns>
    bool TryWrite(UserMemoryPiece piece, ulong offset, ReadOnlySpan<byte> source);
}

/// <summary>The memory of one program that uses the SDK: <see cref="IommuContext.Memory"/>, or one that it has simulated.</summary>
/// <param name="memory">The memory.</param>
public sealed class CallerDmaMemory(ICallerMemory memory) : IDmaMemory
{
    /// <inheritdoc/>
    public bool TryRead(UserMemoryPiece piece, ulong offset, Span<byte> destination)
        => (piece.File is { } file ? memory.ReadFile(file, piece.Address + offset, destination) : memory.Read(piece.Address + offset, destination)) == destination.Length;

    /// <inheritdoc/>
    public bool TryWrite(UserMemoryPiece piece, ulong offset, ReadOnlySpan<byte> source)
        => (piece.File is { } file ? memory.WriteFile(file, piece.Address + offset, source) : memory.Write(piece.Address + offset, source)) == source.Length;
}
