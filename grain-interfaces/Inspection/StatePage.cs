namespace IommuFd.GrainInterfaces;

/// <summary>Which part of a long list in an object's state to return.</summary>
/// <param name="From">The first key to return: for an IOAS, the first IOVA.</param>
/// <param name="Limit">At most this many entries, 0 to <see cref="IoctlLimits.MaxInspectionPage"/>; more are cut to that.</param>
/// <param name="Part">Returns instead the state of an object that is part of this one's grain, such as a HWPT of its IOAS. 0 for the object
/// itself.</param>
[GenerateSerializer, Immutable, Alias("IommuFd.StatePage")]
public readonly record struct StatePage([property: Id(0)] ulong From, [property: Id(1)] int Limit, [property: Id(2)] ObjectId Part = default);
