namespace IommuFd.GrainInterfaces;

/// <summary>A file of the caller's that is mapped. Two descriptors of one file have equal identities.</summary>
/// <param name="Identity">Tells files apart.</param>
[GenerateSerializer, Immutable, Alias("IommuFd.IoptFile")]
public sealed record IoptFile([property: Id(0)] string Identity);
