using IommuFd.GrainInterfaces;

namespace IommuFd.Grains.Encoding;

// The snapshot of a context. Whatever can be very numerous stands in columns (DeltaColumns), so that a context with 10^6 IOASes is small.
// What differs between kinds is a record in the kind's folder: an EntrySnapshot of the table's entry, an ObjectSnapshot of the object
// grain's state.

/// <summary>A saved context with all its objects.</summary>
[GenerateSerializer, Immutable, OmitDefaultMemberValues, SuppressReferenceTracking, Alias("IommuFd.ContextSnapshot")]
internal sealed record ContextSnapshot
{
    [Id(0)]
    public ContextMode Mode { get; init; }

    [Id(1)]
    public uint RlimitMode { get; init; }

    [Id(2)]
    public uint TempMemoryLimit { get; init; }

    /// <summary>The IOAS for VFIO compatibility; 0 for none.</summary>
    [Id(3)]
    public uint CompatIoas { get; init; }

    /// <summary>The last number given to a reference or a driver's hold.</summary>
    [Id(4)]
    public long LastNumber { get; init; }

    [Id(5)]
    public required ReferenceSnapshot[] References { get; init; }

    [Id(6)]
    public required EntriesSnapshot Entries { get; init; }

    /// <summary>Who holds what; null if there are no holds.</summary>
    [Id(7)]
    public HoldsSnapshot? Holds { get; init; }

    /// <summary>The ids of the objects whose grains have state, ascending: a column.</summary>
    [Id(8)]
    public DeltaColumn Stateful { get; init; }

    /// <summary>Their states; null for none.</summary>
    [Id(9)]
    public ObjectSnapshot[]? States { get; init; }

    /// <summary>When the context was opened, in ticks of UTC; 0 in snapshots of versions that did not record it.</summary>
    [Id(10)]
    public long OpenedTicks { get; init; }
}

/// <summary>A saved reference to a context, without its holds.</summary>
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

    /// <summary>The replies that the session may ask for again; null if nothing is settled and nothing kept.</summary>
    [Id(4)]
    public ReplaySnapshot? Replies { get; init; }

    /// <summary>The same for the session's lanes, the longest unused first; null for none.</summary>
    [Id(5)]
    public LaneSnapshot[]? Lanes { get; init; }
}

/// <summary>The saved replies of one lane of a session.</summary>
[GenerateSerializer, Immutable, OmitDefaultMemberValues, SuppressReferenceTracking, Alias("IommuFd.LaneSnapshot")]
internal sealed record LaneSnapshot
{
    [Id(0)]
    public long Lane { get; init; }

    [Id(1)]
    public required ReplaySnapshot Replies { get; init; }
}

/// <summary>The saved replies of a session, for repeated requests.</summary>
[GenerateSerializer, Immutable, OmitDefaultMemberValues, SuppressReferenceTracking, Alias("IommuFd.ReplaySnapshot")]
internal sealed record ReplaySnapshot
{
    [Id(0)]
    public long Settled { get; init; }

    /// <summary>The numbers of the requests, ascending: a column.</summary>
    [Id(1)]
    public DeltaColumn Sequences { get; init; }

    /// <summary>The replies to them; null for none.</summary>
    [Id(2)]
    public object[]? Answers { get; init; }
}

/// <summary>All holds, oldest first: retaken in this order, they stand in their lists as before.</summary>
[GenerateSerializer, Immutable, OmitDefaultMemberValues, SuppressReferenceTracking, Alias("IommuFd.HoldsSnapshot")]
internal sealed record HoldsSnapshot
{
    /// <summary>Twice an object's id, or twice a reference's id plus 1: a column.</summary>
    [Id(0)]
    public DeltaColumn Owners { get; init; }

    /// <summary>Ids of the objects that they hold: a column.</summary>
    [Id(1)]
    public DeltaColumn Targets { get; init; }

    /// <summary>The numbers that drivers drop them by, 0 for others: a column.</summary>
    [Id(2)]
    public DeltaColumn Ids { get; init; }

    /// <summary>The index of the text that says why: a column.</summary>
    [Id(3)]
    public DeltaColumn Whys { get; init; }

    /// <summary>The reasons for holds.</summary>
    [Id(4)]
    public string[]? Texts { get; init; }
}

/// <summary>The saved objects of a context, in the order of their creation.</summary>
[GenerateSerializer, Immutable, OmitDefaultMemberValues, SuppressReferenceTracking, Alias("IommuFd.EntriesSnapshot")]
internal sealed record EntriesSnapshot
{
    /// <summary>The last serial number given.</summary>
    [Id(0)]
    public long LastSerial { get; init; }

    /// <summary>Ids: a column.</summary>
    [Id(1)]
    public DeltaColumn Ids { get; init; }

    /// <summary>Serial numbers, ascending: a column.</summary>
    [Id(2)]
    public DeltaColumn Serials { get; init; }

    /// <summary>Twice the <see cref="ObjectType"/>, plus 1 if there is data: a column.</summary>
    [Id(3)]
    public DeltaColumn Kinds { get; init; }

    /// <summary>The data of the objects that have some; null for none.</summary>
    [Id(4)]
    public EntrySnapshot[]? Data { get; init; }

    /// <summary>Ids that no object has or will have: a column.</summary>
    [Id(5)]
    public DeltaColumn Tombstones { get; init; }
}
