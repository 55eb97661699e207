namespace IommuFd.Grains.Calls;

/// <summary>What an object is made of, where its kind needs more than an empty model: told by each call that may be the one that builds the grain.</summary>
[GenerateSerializer, Immutable, Alias("IommuFd.ObjectBuild")]
internal abstract record ObjectBuild;
