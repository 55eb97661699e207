namespace IommuFd.GrainInterfaces;

/// <summary>One reference to a context: the opener's, a duplicate's or a driver's. Unique within its context.</summary>
/// <param name="Value">The number; 0 is none.</param>
[GenerateSerializer, Immutable, Alias("IommuFd.ReferenceId")]
public readonly record struct ReferenceId([property: Id(0)] long Value);
