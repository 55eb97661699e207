namespace IommuFd.GrainInterfaces;

/// <summary>What a release destroyed, leaves first.</summary>
/// <param name="Destroyed">How many objects were destroyed.</param>
/// <param name="Order">The first <see cref="IoctlLimits.MaxListed"/> of them, in the order of their destruction.</param>
/// <param name="Stuck"> The first <see cref="IoctlLimits.MaxListed"/> objects whose users count did not fall to 1. This is a bug of the
/// service: it is logged, and the objects are dropped with their context.</param>
[GenerateSerializer, Immutable, Alias("IommuFd.ReleaseReport")]
public sealed record ReleaseReport([property: Id(0)] long Destroyed, [property: Id(1)] ObjectRef[] Order, [property: Id(2)] ObjectRef[] Stuck);
