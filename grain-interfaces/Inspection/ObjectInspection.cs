namespace IommuFd.GrainInterfaces;

/// <summary>An object, as an inspection shows it. A client shows objects of every kind by these fields alone; <see cref="State"/> is for programs.</summary>
/// <param name="Object">Its kind and id.</param>
/// <param name="Users">Its users count: 1 for the table's own, and 1 for each holder.</param>
/// <param name="Holders">The first <see cref="IoctlLimits.MaxListed"/> that hold it.</param>
/// <param name="State">What its grain knows, where that was asked for. Each kind of object has its record.</param>
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

    /// <summary>What people call it, for example the name of a device; empty for objects that have only an id.</summary>
    [Id(4)]
    public string Name { get; init; } = "";

    /// <summary>Its state in one line, for example <c>attached to HWPT 3</c>; empty where the state was not asked for, or its grain did not answer.</summary>
    [Id(5)]
    public string Summary { get; init; } = "";

    /// <summary>All that there is to say about its state. Only the inspection of one object has them.</summary>
    [Id(6)]
    public ObjectFact[] Facts { get; init; } = [];

    /// <summary>The object with its name.</summary>
    /// <returns>For example <c>device 4 '0000:01:00.0'</c>.</returns>
    public override string ToString() => Format.Named(Object, Name);
}
