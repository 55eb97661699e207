namespace IommuFd.GrainInterfaces;

/// <summary>Memory of one program that a context has pinned.</summary>
/// <param name="Source">The program; null where it is not known whose memory it is: the SDK names none.</param>
/// <param name="Account">What the pages count against.</param>
/// <param name="Pages">Pages of 4 KiB, each once, however many page tables and accesses have it pinned.</param>
[GenerateSerializer, Immutable, Alias("IommuFd.PinnedMemory")]
public readonly record struct PinnedMemory([property: Id(0)] MemorySource? Source, [property: Id(1)] PinAccount Account, [property: Id(2)] long Pages);
