using IommuFd.Uapi;

namespace IommuFd.GrainInterfaces;

// Requests and replies of a context's grain other than ioctls: opening, references, holds and release.

/// <summary>Opens a context under the handle that is the grain's key.</summary>
/// <param name="Mode">Whether the context outlives its silo; null for the silo's default.</param>
/// <param name="Name">The opener's name, for people: 1 to <see cref="IoctlLimits.MaxNameLength"/> characters.</param>
/// <param name="Session">The session of the opened file. Opening again with the same session gets the same reply; 0 for none.</param>
/// <param name="Client">The opening process: a random number, the same for all its contexts. 0 is no process in particular.</param>
/// <param name="ClientLimit">The most contexts that the opener may have on a silo, where that is fewer than the silo's own limit; 0 for that one.</param>
[GenerateSerializer, Immutable, Alias("IommuFd.OpenRequest")]
public sealed record OpenRequest(
    [property: Id(0)] ContextMode? Mode, [property: Id(1)] string Name, [property: Id(2)] long Session = 0, [property: Id(3)] long Client = 0,
    [property: Id(4)] int ClientLimit = 0);

/// <summary>Takes another reference to an open context.</summary>
/// <param name="Kind">Whether it makes the context answer ioctls.</param>
/// <param name="Name">The owner's name, for people: 1 to <see cref="IoctlLimits.MaxNameLength"/> characters.</param>
/// <param name="Session">The session of the reference. Asking again with the same session gets the same reply; 0 for none.</param>
[GenerateSerializer, Immutable, Alias("IommuFd.GetRequest")]
public sealed record GetRequest([property: Id(0)] ReferenceKind Kind, [property: Id(1)] string Name, [property: Id(2)] long Session = 0);

/// <summary>The reply to a renewal of leases.</summary>
/// <param name="Errno">0; EBADF without such a context.</param>
/// <param name="Gone">The requested references that the context does not have.</param>
[GenerateSerializer, Immutable, Alias("IommuFd.RenewReply")]
public sealed record RenewReply([property: Id(0)] Errno Errno, [property: Id(1)] ReferenceId[] Gone);

/// <summary>The reference or hold taken, or why it was not.</summary>
/// <param name="Errno">0; EBADF without such a context or reference, EEXIST when opening twice, ENOENT without such an object, EINVAL for a
/// bad name.</param>
/// <param name="Reference">The reference taken; for a hold, the reference it belongs to.</param>
/// <param name="Hold">The hold taken, or 0.</param>
/// <param name="Mode">The context's mode.</param>
/// <param name="Diagnostic">Why it failed; null on success.</param>
/// <param name="Lease">How long the reference lives without a sign of life, which is a renewal or a request of its session. Zero means
/// forever.</param>
[GenerateSerializer, Immutable, Alias("IommuFd.ReferenceReply")]
public sealed record ReferenceReply(
    [property: Id(0)] Errno Errno,
    [property: Id(1)] ReferenceId Reference,
    [property: Id(2)] HoldId Hold,
    [property: Id(3)] ContextMode Mode,
    [property: Id(4)] IoctlDiagnostic? Diagnostic,
    [property: Id(5)] TimeSpan Lease = default);

/// <summary>The reply to dropping a reference or a hold.</summary>
/// <param name="Errno">0; EBADF without such a context or reference, ENOENT without such a hold.</param>
/// <param name="Release">The release, if this was the context's last reference; otherwise null.</param>
/// <param name="Diagnostic">Why it failed; null on success.</param>
[GenerateSerializer, Immutable, Alias("IommuFd.PutReply")]
public sealed record PutReply([property: Id(0)] Errno Errno, [property: Id(1)] ReleaseReport? Release, [property: Id(2)] IoctlDiagnostic? Diagnostic);
