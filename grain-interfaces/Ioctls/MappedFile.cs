namespace IommuFd.GrainInterfaces;

/// <summary>What a mapping keeps of the <see cref="UserFile"/> that it maps: enough to find it again among the program's files.</summary>
/// <param name="Identity">The file's <see cref="UserFile.Identity"/>.</param>
[GenerateSerializer, Immutable, Alias("IommuFd.IoptFile")]
public sealed record MappedFile([property: Id(0)] string Identity);
