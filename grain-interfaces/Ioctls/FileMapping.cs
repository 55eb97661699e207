namespace IommuFd.GrainInterfaces;

/// <summary>Where a buffer in the caller's memory is a mapping of a file, as the caller has it from <c>mmap</c>.</summary>
/// <param name="File">The file.</param>
/// <param name="Offset">The offset in the file, in bytes, of the buffer's first byte.</param>
/// <param name="Length">Leading bytes of the buffer that are mapped so.</param>
[GenerateSerializer, Immutable, Alias("IommuFd.FileMapping")]
public sealed record FileMapping([property: Id(0)] MappedFile File, [property: Id(1)] ulong Offset, [property: Id(2)] ulong Length);
