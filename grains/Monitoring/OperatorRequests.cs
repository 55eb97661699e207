using IommuFd.GrainInterfaces;

namespace IommuFd.Grains.Monitoring;

/// <summary>An operator's request to a context, in place of its owners.</summary>
/// <param name="Operator">The operator's name, for the log: 1 to <see cref="IoctlLimits.MaxNameLength"/> characters.</param>
[GenerateSerializer, Immutable, Alias("IommuFd.OperatorRequest")]
public abstract record OperatorRequest([property: Id(0)] string Operator);

/// <summary>Puts every reference to the context, which releases it: its objects are destroyed, leaves first.</summary>
/// <param name="Operator">The operator's name, for the log.</param>
[GenerateSerializer, Immutable, Alias("IommuFd.ReleaseContextRequest")]
public sealed record ReleaseContextRequest(string Operator) : OperatorRequest(Operator);

/// <summary>Puts a stuck driver's reference, with its holds, devices and accesses. EBADF for a file's reference.</summary>
/// <param name="Operator">The operator's name, for the log.</param>
/// <param name="Reference">The driver's reference.</param>
[GenerateSerializer, Immutable, Alias("IommuFd.DropDriverRequest")]
public sealed record DropDriverRequest(string Operator, [property: Id(0)] ReferenceId Reference) : OperatorRequest(Operator);

/// <summary>Drops one stuck hold that a driver took by name.</summary>
/// <param name="Operator">The operator's name, for the log.</param>
/// <param name="Reference">The driver's reference.</param>
/// <param name="Hold">The hold; ENOENT if the driver has no such hold.</param>
[GenerateSerializer, Immutable, Alias("IommuFd.DropStuckHoldRequest")]
public sealed record DropStuckHoldRequest(string Operator, [property: Id(0)] ReferenceId Reference, [property: Id(1)] HoldId Hold) : OperatorRequest(Operator);
