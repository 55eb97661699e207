using System.Text.Json.Serialization;
using IommuFd.Uapi;

namespace IommuFd.GrainInterfaces;

/// <summary>The reply to a driver's request.</summary>
/// <param name="Errno">0 on success; EBADF without such a context or driver's reference, ENOENT if the object is not this driver's.</param>
/// <param name="Id">The object created, or the HWPT that the device is attached to; 0 for none.</param>
/// <param name="Pin">The pin taken.</param>
/// <param name="Memory">The memory behind the IOVAs of a pin, a copy or a device's access, in their order.</param>
/// <param name="Diagnostic">Why it failed; null on success.</param>
/// <param name="Hold">The hold taken.</param>
/// <param name="Dma">What a device's access has changed, a fault's count included; null for nothing.</param>
[GenerateSerializer, Immutable, Alias("IommuFd.DriverReply")]
public sealed record DriverReply(
    [property: Id(0)] Errno Errno,
    [property: Id(1)] ObjectId Id = default,
    [property: Id(2)] uint Pin = 0,
    [property: Id(3)] UserMemoryPiece[]? Memory = null,
    [property: Id(4)] IoctlDiagnostic? Diagnostic = null,
    [property: Id(5)] HoldId Hold = default,
    [property: Id(6)] DmaReply? Dma = null);

/// <summary>A piece of the caller's memory, or of a file, that IOVAs map.</summary>
/// <param name="File">The file; null for the caller's memory.</param>
/// <param name="Address">The caller's address, or the offset in the file.</param>
/// <param name="Length">Bytes.</param>
[GenerateSerializer, Immutable, Alias("IommuFd.UserMemoryPiece")]
public readonly record struct UserMemoryPiece([property: Id(0)] MappedFile? File, [property: Id(1)] ulong Address, [property: Id(2)] ulong Length)
{
    /// <summary>The program that has mapped it, which may be another than the one that asks; null where that is not known.</summary>
    [Id(3)]
    [JsonIgnore]
    public MemorySource? Source { get; init; }

    /// <summary>The file that the memory was a mapping of, from the piece's first byte on; null for other memory.</summary>
    [Id(4)]
    [JsonIgnore]
    public FileMapping? Mapping { get; init; }
}
