namespace IommuFd.GrainInterfaces;

/// <summary>A hold that a driver has taken on an object, one users count. Unique within its context.</summary>
/// <param name="Value">The number; 0 is none.</param>
[GenerateSerializer, Immutable, Alias("IommuFd.HoldId")]
public readonly record struct HoldId([property: Id(0)] long Value);
