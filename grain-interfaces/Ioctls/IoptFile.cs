namespace IommuFd.GrainInterfaces;

/// <summary>A mapped file of the caller's. Two descriptors of one file have equal identities.</summary>
/// <param name="Identity">Tells files apart.</param>
[GenerateSerializer, Immutable, Alias("IommuFd.IoptFile")]
public sealed record IoptFile([property: Id(0)] string Identity);
