namespace IommuFd.GrainInterfaces;

/// <summary>A program that has mapped memory and says whether it is there, and whether it may be pinned. Nothing is pinned or copied: it looks, and answers at once.</summary>
[Alias("IommuFd.IMemoryObserver")]
public interface IMemoryObserver : IGrainObserver
{
    /// <summary>Looks whether memory is there.</summary>
    /// <param name="question">Which memory.</param>
    /// <returns>The answer.</returns>
    [Alias("Look")]
    Task<MemoryAnswer> LookAsync(MemoryQuestion question);

    /// <summary>Charges the program, or its user, for pages that a context has pinned, or is about to.</summary>
    /// <param name="charge">Which pages.</param>
    /// <returns>Whether they are within the limit.</returns>
    [Alias("Charge")]
    Task<MemoryVerdict> ChargeAsync(MemoryCharge charge);
}

/// <summary>A piece of a program's memory, or of a file that it has open.</summary>
/// <param name="File">The file; null for memory.</param>
/// <param name="Start">The address, or the offset in the file, of the first byte.</param>
/// <param name="Length">Bytes.</param>
/// <param name="Write">Whether the memory is to be written; else it is to be read.</param>
/// <param name="WasPresent">Whether it was there when it was mapped: the answer for a file of which the program no longer knows.</param>
[GenerateSerializer, Immutable, Alias("IommuFd.MemoryPiece")]
public readonly record struct MemoryPiece(
    [property: Id(0)] MappedFile? File, [property: Id(1)] ulong Start, [property: Id(2)] ulong Length, [property: Id(3)] bool Write, [property: Id(4)] bool WasPresent);

/// <summary>Asks whether memory is there.</summary>
/// <param name="Memory">Which of the memories that the program's observer knows (<see cref="MemorySource.Number"/>).</param>
/// <param name="Pieces">The pieces, at most <see cref="MaxPieces"/>.</param>
[GenerateSerializer, Immutable, Alias("IommuFd.MemoryQuestion")]
public sealed record MemoryQuestion([property: Id(0)] long Memory, [property: Id(1)] MemoryPiece[] Pieces)
{
    /// <summary>Pieces that one question has at most.</summary>
    public const int MaxPieces = 4096;
}

/// <summary>Says whether memory is there.</summary>
/// <param name="IsKnown">False where the program no longer knows that memory. The rest says nothing then.</param>
/// <param name="Present">How many leading pieces are there as a whole.</param>
/// <param name="FaultOffset">Where the next piece has its first byte that isn't there, in bytes from its start.</param>
[GenerateSerializer, Immutable, Alias("IommuFd.MemoryAnswer")]
public sealed record MemoryAnswer([property: Id(0)] bool IsKnown, [property: Id(1)] int Present = 0, [property: Id(2)] ulong FaultOffset = 0);
