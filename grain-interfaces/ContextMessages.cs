using IommuFd.Uapi;

namespace IommuFd.GrainInterfaces;

// Requests and replies of a context's grain that are no ioctls: opening, references, holds, release and inspection.

/// <summary>Asks for a context to be opened under the handle that the grain's key is.</summary>
/// <param name="Mode">Whether the context outlives its silo; null takes what the silo does by default.</param>
/// <param name="Name">Who opens it, for people: 1 to <see cref="IoctlLimits.MaxNameLength"/> characters.</param>
/// <param name="Session">The session of the file that is opened. Opening again with the same answers the same; 0 for none.</param>
/// <param name="Client">The process that opens it: a random number, the same for all that it opens. 0 is nobody in particular.</param>
[GenerateSerializer, Immutable, Alias("IommuFd.OpenRequest")]
public sealed record OpenRequest(
    [property: Id(0)] ContextMode? Mode, [property: Id(1)] string Name, [property: Id(2)] long Session = 0, [property: Id(3)] long Client = 0);

/// <summary>Asks for a further reference to an open context.</summary>
/// <param name="Kind">Whether it makes the context answer ioctls.</param>
/// <param name="Name">Who takes it, for people: 1 to <see cref="IoctlLimits.MaxNameLength"/> characters.</param>
/// <param name="Session">The session of the reference. Asking again with the same answers the same; 0 for none.</param>
[GenerateSerializer, Immutable, Alias("IommuFd.GetRequest")]
public sealed record GetRequest([property: Id(0)] ReferenceKind Kind, [property: Id(1)] string Name, [property: Id(2)] long Session = 0);

/// <summary>What renewing leases did.</summary>
/// <param name="Errno">0; EBADF without such a context.</param>
/// <param name="Gone">References among those asked for that the context doesn't have (any more).</param>
[GenerateSerializer, Immutable, Alias("IommuFd.RenewReply")]
public sealed record RenewReply([property: Id(0)] Errno Errno, [property: Id(1)] ReferenceId[] Gone);

/// <summary>A reference or a hold that was taken, or why it was not.</summary>
/// <param name="Errno">0; EBADF without such a context or reference, EEXIST when opening twice, ENOENT without such an object, EINVAL for a bad name.</param>
/// <param name="Reference">The reference taken; of a hold, the reference it belongs to.</param>
/// <param name="Hold">The hold taken, or 0.</param>
/// <param name="Mode">The mode that the context has.</param>
/// <param name="Diagnostic">Why it failed; null on success.</param>
/// <param name="Lease">How long the reference lives without a sign of life: renewed, or used by a request of its session. Zero is for ever.</param>
[GenerateSerializer, Immutable, Alias("IommuFd.ReferenceReply")]
public sealed record ReferenceReply(
    [property: Id(0)] Errno Errno,
    [property: Id(1)] ReferenceId Reference,
    [property: Id(2)] HoldId Hold,
    [property: Id(3)] ContextMode Mode,
    [property: Id(4)] IoctlDiagnostic? Diagnostic,
    [property: Id(5)] TimeSpan Lease = default);

/// <summary>What dropping a reference or a hold did.</summary>
/// <param name="Errno">0; EBADF without such a context or reference, ENOENT without such a hold.</param>
/// <param name="Release">What was released, where this was the context's last reference; else null.</param>
/// <param name="Diagnostic">Why it failed; null on success.</param>
[GenerateSerializer, Immutable, Alias("IommuFd.PutReply")]
public sealed record PutReply([property: Id(0)] Errno Errno, [property: Id(1)] ReleaseReport? Release, [property: Id(2)] IoctlDiagnostic? Diagnostic);

/// <summary>An object by its kind and id.</summary>
/// <param name="Type">The kind.</param>
/// <param name="Id">The id.</param>
[GenerateSerializer, Immutable, Alias("IommuFd.ObjectRef")]
public readonly record struct ObjectRef([property: Id(0)] ObjectType Type, [property: Id(1)] ObjectId Id)
{
    /// <inheritdoc/>
    public override string ToString() => $"{Type.Label()} {Id}";
}

/// <summary>What a release destroyed, leaves first.</summary>
/// <param name="Destroyed">How many objects were destroyed.</param>
/// <param name="Order">The first <see cref="IoctlLimits.MaxListed"/> of them, in the order of their destruction.</param>
/// <param name="Stuck">
/// The first <see cref="IoctlLimits.MaxListed"/> objects whose users count did not fall to 1. This is a bug of the service: it is logged, and the
/// objects go with their context all the same.
/// </param>
[GenerateSerializer, Immutable, Alias("IommuFd.ReleaseReport")]
public sealed record ReleaseReport([property: Id(0)] long Destroyed, [property: Id(1)] ObjectRef[] Order, [property: Id(2)] ObjectRef[] Stuck);

/// <summary>A reference to a context, as an inspection shows it.</summary>
/// <param name="Id">The reference.</param>
/// <param name="Kind">Why it is there.</param>
/// <param name="Name">Who has it.</param>
/// <param name="Holds">Objects that it holds.</param>
[GenerateSerializer, Immutable, Alias("IommuFd.ReferenceInspection")]
public sealed record ReferenceInspection(
    [property: Id(0)] ReferenceId Id,
    [property: Id(1)] ReferenceKind Kind,
    [property: Id(2)] string Name,
    [property: Id(3)] int Holds);

/// <summary>What an object's own grain knows of it. Each kind of object has its record.</summary>
[GenerateSerializer, Immutable, Alias("IommuFd.ObjectState")]
public abstract record ObjectState;

/// <summary>An object, as an inspection shows it.</summary>
/// <param name="Object">Its kind and id.</param>
/// <param name="Users">Its users count: 1 for the table's own, and 1 for each holder.</param>
/// <param name="Holders">The first <see cref="IoctlLimits.MaxListed"/> that hold it.</param>
/// <param name="State">What its grain knows, where that was asked for.</param>
[GenerateSerializer, Immutable, Alias("IommuFd.ObjectInspection")]
public sealed record ObjectInspection(
    [property: Id(0)] ObjectRef Object,
    [property: Id(1)] long Users,
    [property: Id(2)] Holder[] Holders,
    [property: Id(3)] ObjectState? State);

/// <summary>Asks for a page of a context's objects.</summary>
/// <param name="After">Only objects with greater ids; 0 starts at the first.</param>
/// <param name="Limit">At most so many objects, 0 to <see cref="IoctlLimits.MaxInspectionPage"/>; more are cut to that.</param>
/// <param name="WithState">Whether each object's grain is asked for its state.</param>
[GenerateSerializer, Immutable, Alias("IommuFd.InspectRequest")]
public sealed record InspectRequest([property: Id(0)] ObjectId After, [property: Id(1)] int Limit, [property: Id(2)] bool WithState);

/// <summary>A context and a page of its objects.</summary>
[GenerateSerializer, Immutable, Alias("IommuFd.ContextInspection")]
public sealed class ContextInspection
{
    /// <summary>0; EBADF without such a context, and then nothing else is set.</summary>
    [Id(0)]
    public Errno Errno { get; init; }

    /// <summary>The mode.</summary>
    [Id(1)]
    public ContextMode Mode { get; init; }

    /// <summary>The silo that runs the context.</summary>
    [Id(2)]
    public string Silo { get; init; } = "";

    /// <summary>The value of <c>IOMMU_OPTION_RLIMIT_MODE</c>: 0 or 1.</summary>
    [Id(3)]
    public uint RlimitMode { get; init; }

    /// <summary>The compatibility IOAS; 0 for none.</summary>
    [Id(4)]
    public ObjectId CompatIoas { get; init; }

    /// <summary>The first <see cref="IoctlLimits.MaxListed"/> references, oldest first.</summary>
    [Id(5)]
    public ReferenceInspection[] References { get; init; } = [];

    /// <summary>Objects that the context has, on all pages.</summary>
    [Id(6)]
    public long ObjectCount { get; init; }

    /// <summary>The page, by ascending id.</summary>
    [Id(7)]
    public ObjectInspection[] Objects { get; init; } = [];

    /// <summary>Whether there are objects behind this page.</summary>
    [Id(8)]
    public bool HasMore { get; init; }

    /// <summary>The value of <c>IOMMU_TEST_OP_SET_TEMP_MEMORY_LIMIT</c>, in bytes.</summary>
    [Id(9)]
    public uint TempMemoryLimit { get; init; }
}
