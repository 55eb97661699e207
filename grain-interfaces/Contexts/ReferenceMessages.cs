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
