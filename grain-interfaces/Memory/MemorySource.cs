namespace IommuFd.GrainInterfaces;

/// <summary>
/// Names the memory of a program, so that the service can ask later whether memory is there: when it is pinned, as Linux does, and not
/// when it is mapped.
/// </summary>
/// <param name="Observer">The program's <see cref="IMemoryObserver"/>.</param>
/// <param name="Number">Which of the memories that it knows.</param>
[GenerateSerializer, Immutable, Alias("IommuFd.MemorySource")]
public sealed record MemorySource([property: Id(0)] GrainId Observer, [property: Id(1)] long Number);
