using IommuFd.GrainInterfaces;

namespace IommuFd.Grains.Encoding;

// A context written down. What there can be very many of stands in columns (DeltaColumns), so that a context of 10^6 IOASes is small; what differs from kind
// to kind is a record of that kind's folder: an EntrySnapshot of what the table has, an ObjectSnapshot of what the object's grain has.

/// <summary>A context and all its objects, written down.</summary>
[GenerateSerializer, Immutable, OmitDefaultMemberValues, SuppressReferenceTracking, Alias("IommuFd.ContextSnapshot")]
internal sealed record ContextSnapshot
{
    [Id(0)]
    public ContextMode Mode { get; init; }

    [Id(1)]
    public uint RlimitMode { get; init; }

    [Id(2)]
    public uint TempMemoryLimit { get; init; }

    /// <summary>The IOAS that VFIO compatibility uses; 0 for none.</summary>
    [Id(3)]
    public uint CompatIoas { get; init; }

    /// <summary>The last number that a reference or a driver's hold was given.</summary>
    [Id(4)]
    public long LastNumber { get; init; }

    [Id(5)]
    public required ReferenceSnapshot[] References { get; init; }

    [Id(6)]
    public required EntriesSnapshot Entries { get; init; }

    /// <summary>Who holds what; null where nobody holds anything.</summary>
    [Id(7)]
    public HoldsSnapshot? Holds { get; init; }

    /// <summary>The ids of the objects whose grains have a state, ascending: a column.</summary>
    [Id(8)]
    public DeltaColumn Stateful { get; init; }

    /// <summary>Their states; null for none.</summary>
    [Id(9)]
    public ObjectSnapshot[]? States { get; init; }

    /// <summary>When the context was opened, in ticks of UTC; 0 in snapshots of versions that did not note it.</summary>
    [Id(10)]
    public long OpenedTicks { get; init; }
}

/// <summary>A reference to a context, written down without what it holds.</summary>
[GenerateSerializer, Immutable, OmitDefaultMemberValues, SuppressReferenceTracking, Alias("IommuFd.ReferenceSnapshot")]
internal sealed record ReferenceSnapshot
{
    [Id(0)]
    public long Id { get; init; }

    [Id(1)]
    public ReferenceKind Kind { get; init; }

    [Id(2)]
    public required string Name { get; init; }

    [Id(3)]
    public long Session { get; init; }

    /// <summary>What the session may ask for again; null where it has nothing settled and nothing kept.</summary>
    [Id(4)]
    public ReplaySnapshot? Replies { get; init; }
}

/// <summary>The answers of a session that it may ask for again, written down.</summary>
[GenerateSerializer, Immutable, OmitDefaultMemberValues, SuppressReferenceTracking, Alias("IommuFd.ReplaySnapshot")]
internal sealed record ReplaySnapshot
{
    [Id(0)]
    public long Settled { get; init; }

    /// <summary>The numbers of the requests, ascending: a column.</summary>
    [Id(1)]
    public DeltaColumn Sequences { get; init; }

    /// <summary>What they were answered; null for none.</summary>
    [Id(2)]
    public object[]? Answers { get; init; }
}

/// <summary>All holds, oldest first: taken again in this order, they stand in their lists as they did.</summary>
[GenerateSerializer, Immutable, OmitDefaultMemberValues, SuppressReferenceTracking, Alias("IommuFd.HoldsSnapshot")]
internal sealed record HoldsSnapshot
{
    /// <summary>Twice the id of an object, or of a reference and 1 more: a column.</summary>
    [Id(0)]
    public DeltaColumn Owners { get; init; }

    /// <summary>Ids of what they hold: a column.</summary>
    [Id(1)]
    public DeltaColumn Targets { get; init; }

    /// <summary>The numbers that drivers drop them by, 0 for others: a column.</summary>
    [Id(2)]
    public DeltaColumn Ids { get; init; }

    /// <summary>Which of the texts says why: a column.</summary>
    [Id(3)]
    public DeltaColumn Whys { get; init; }

    /// <summary>Why holds are held.</summary>
    [Id(4)]
    public string[]? Texts { get; init; }
}

/// <summary>The objects of a context, written down in the order in which they were made.</summary>
[GenerateSerializer, Immutable, OmitDefaultMemberValues, SuppressReferenceTracking, Alias("IommuFd.EntriesSnapshot")]
internal sealed record EntriesSnapshot
{
    /// <summary>The last serial number that was given.</summary>
    [Id(0)]
    public long LastSerial { get; init; }

    /// <summary>Ids: a column.</summary>
    [Id(1)]
    public DeltaColumn Ids { get; init; }

    /// <summary>Serial numbers, ascending: a column.</summary>
    [Id(2)]
    public DeltaColumn Serials { get; init; }

    /// <summary>Twice the <see cref="ObjectType"/>, and 1 more where there is data: a column.</summary>
    [Id(3)]
    public DeltaColumn Kinds { get; init; }

    /// <summary>The data of those that have some; null for none.</summary>
    [Id(4)]
    public EntrySnapshot[]? Data { get; init; }

    /// <summary>Ids that no object has or will have: a column.</summary>
    [Id(5)]
    public DeltaColumn Tombstones { get; init; }
}
