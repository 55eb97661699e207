namespace IommuFd.GrainInterfaces;

/// <summary>An object, as an inspection shows it.</summary>
/// <param name="Object">Its kind and id.</param>
/// <param name="Users">Its users count: 1 for the table, and 1 for each hold on it.</param>
/// <param name="Holders">The first <see cref="IoctlLimits.MaxListed"/> holders.</param>
/// <param name="State">Its grain's state, if requested.</param>
[GenerateSerializer, Immutable, Alias("IommuFd.ObjectInspection")]
public sealed record ObjectInspection(
    [property: Id(0)] ObjectRef Object,
    [property: Id(1)] long Users,
    [property: Id(2)] Holder[] Holders,
    [property: Id(3)] ObjectState? State)
{
    /// <summary>
    /// The users count that the object's grain derives from what it has; the same as <see cref="Users"/>, or there is a bug. Null where the
    /// state was not asked for, or no grain knows the object.
    /// </summary>
    [Id(9)]
    public long? GrainUsers { get; init; }
}
