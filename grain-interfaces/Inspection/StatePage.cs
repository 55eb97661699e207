namespace IommuFd.GrainInterfaces;

/// <summary>Which part of a long list in an object's state is asked for.</summary>
/// <param name="From">The first key that is wanted: of an IOAS, the first IOVA.</param>
/// <param name="Limit">At most so many entries, 0 to <see cref="IoctlLimits.MaxInspectionPage"/>; more are cut to that.</param>
/// <param name="Part">An object whose state stands in this one's, such as a HWPT's in its IOAS': that is asked for then. 0 for the object itself.</param>
[GenerateSerializer, Immutable, Alias("IommuFd.StatePage")]
public readonly record struct StatePage([property: Id(0)] ulong From, [property: Id(1)] int Limit, [property: Id(2)] ObjectId Part = default);
